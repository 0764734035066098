"""What the rounds have released, what that costs, and what may be said of it.

All of it follows from what the sites stated when they joined, and from who was asked how often.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from medfed.config import Scenario
from medfed.registry import name_of
from medfed.results import PrivacyStatement
from privacy.mechanisms.contract import ServerMechanism, SharedMechanism, TrainingMechanism
from privacy.release import Release, holding, total_epsilon, under
from privacy.statement import Setting, site_guarantees, statement
from privacy.training.plan import round_release
from privacy.training.scenario import backend_of
from privacy.training.statement import TrainingSetting, split_warning, training_statement
from server.asked import Asked
from server.private import Infos, asked_per_round, expected_weight, stated_weights


def releases(scenario: Scenario, infos: Infos, asked: Sequence[Asked]) -> list[Release]:
    """What the site that was asked most often released; empty where nothing is protected.

    Where sites train privately, the site whose units pay most: nobody's images lie at two sites, so that what others
    released concerns other units. Who is asked follows from the scenario's seed and is known to all, so that no site is
    hidden by not being asked.
    """
    if not scenario.privacy.is_on:
        return []
    if isinstance(scenario.privacy.mechanism, TrainingMechanism):
        _, found = _dearest(scenario, infos, asked)
        return found
    rounds = {site: _rounds(asked, site) for site in scenario.training_sites}
    most = max(rounds.values(), key=len)
    share = _largest_share(scenario, infos)
    found = [scenario.privacy.mechanism.release(number, share) for number in most]
    return [release for release in found if release is not None]


def site_releases(scenario: Scenario, infos: Infos, asked: Sequence[Asked]) -> dict[str, list[Release]]:
    """What each site that joined and was asked released: of its own training, or of its whole update."""
    mechanism, found = scenario.privacy.mechanism, {}
    for site in scenario.training_sites:
        rounds = _rounds(asked, site)
        if site not in infos or not rounds:
            continue
        if isinstance(mechanism, TrainingMechanism):
            number = infos[site].num_patients if mechanism.unit == "patient" else infos[site].num_train
            once = round_release(mechanism, scenario.training, max(1, number), 1)
        else:
            once = mechanism.release(1, _largest_share(scenario, infos))
        found[site] = [replace(once, round=each) for each in rounds]
    return found


def _rounds(asked: Sequence[Asked], site: str) -> list[int]:
    """In which rounds ``site`` was asked; one in which it released twice is there twice."""
    return sorted(number for number, sites in asked if site in sites)


def _epsilon(scenario: Scenario, found: Sequence[Release]) -> float:
    """Of the relation that holds."""
    privacy = scenario.privacy
    return total_epsilon(under(holding(found[0].unit), found), privacy.delta, privacy.accountant)


def _dearest(scenario: Scenario, infos: Infos, asked: Sequence[Asked]) -> tuple[str, list[Release]]:
    """The site whose epsilon is the largest, and what it released."""
    found = site_releases(scenario, infos, asked)
    if not found:
        return "", []
    costs = {site: _epsilon(scenario, found[site]) for site in _undominated(found)}
    site = max(costs, key=costs.__getitem__)
    return site, found[site]


def _undominated(found: Mapping[str, list[Release]]) -> list[str]:
    """The first site by name of those than which none draws at a higher rate and takes as many steps, or the reverse.

    Epsilon grows with both, so that the others need not be computed.
    """
    kinds: dict[tuple[float, int], str] = {}
    for site, of_site in sorted(found.items()):
        kinds.setdefault((of_site[0].sampling_rate, sum(release.steps for release in of_site)), site)
    kept, most = [], 0
    for (_, steps), site in sorted(kinds.items(), reverse=True):
        if steps > most:
            kept.append(site)
            most = steps
    return kept


def spent(scenario: Scenario, infos: Infos, asked: Sequence[Asked]) -> float | None:
    """Epsilon of all rounds so far, of the relation that holds; None where nothing is protected."""
    found = releases(scenario, infos, asked)
    return _epsilon(scenario, found) if found else None


def privacy_statement(
    scenario: Scenario, infos: Infos, asked: Sequence[Asked], num_values: int, replayable: bool
) -> PrivacyStatement | None:
    """What may be said of the run; None where nothing is protected, or no round was run.

    Args:
        scenario: all settings.
        infos: how the sites introduced themselves.
        asked: who was asked in each round, and again.
        num_values: trained values that travel.
        replayable: the noise is of the scenario's seed.
    """
    mechanism = scenario.privacy.mechanism
    if isinstance(mechanism, TrainingMechanism):
        return _of_training(scenario, infos, asked, num_values, replayable)
    found = releases(scenario, infos, asked)
    if not found:
        return None
    at_sites = not isinstance(mechanism, ServerMechanism)
    share = _noise_share(scenario, infos) if at_sites else _largest_share(scenario, infos)
    setting = Setting(
        mechanism=name_of("mechanism", mechanism),
        trusted=mechanism.trusted,
        at_sites=at_sites,
        num_sites=asked_per_round(scenario),
        num_rounds=len({number for number, _ in asked}),
        noise_share=share,
        num_values=num_values,
        delta=scenario.privacy.delta,
        replayable=replayable,
        summed=isinstance(mechanism, SharedMechanism),
        accountant=scenario.privacy.accountant,
    )
    return _with_sites(statement(found, setting), scenario, infos, asked)


def _of_training(
    scenario: Scenario, infos: Infos, asked: Sequence[Asked], num_values: int, replayable: bool
) -> PrivacyStatement | None:
    site, found = _dearest(scenario, infos, asked)
    if not found:
        return None
    setting = TrainingSetting(
        mechanism=name_of("mechanism", scenario.privacy.mechanism),
        trusted=scenario.privacy.mechanism.trusted,
        clip=scenario.privacy.mechanism.clip,
        backend=backend_of(scenario),
        batch_size=scenario.training.batch_size,
        site=site,
        num_sites=asked_per_round(scenario),
        num_values=num_values,
        delta=scenario.privacy.delta,
        accountant=scenario.privacy.accountant,
        replayable=replayable,
        one_image_each=[name for name, info in sorted(infos.items()) if 0 < info.num_patients == info.num_train],
        split_here=_split_here(infos),
    )
    return _with_sites(training_statement(found, setting), scenario, infos, asked)


def split_warnings(scenario: Scenario, infos: Infos) -> list[str]:
    """One line where noise hides images or patients of sites whose data name no split."""
    mechanism, sites = scenario.privacy.mechanism, _split_here(infos)
    return [split_warning(sites, mechanism.unit)] if sites and isinstance(mechanism, TrainingMechanism) else []


def _split_here(infos: Infos) -> list[str]:
    return [site for site, info in sorted(infos.items()) if info.split_here]


def _with_sites(found: PrivacyStatement, scenario: Scenario, infos: Infos, asked: Sequence[Asked]) -> PrivacyStatement:
    """What each site may say as well: units and rounds, and with them epsilon, differ from site to site."""
    privacy = scenario.privacy
    releases_of = site_releases(scenario, infos, asked)
    sites = site_guarantees(releases_of, privacy.delta, privacy.accountant, found.replayable)
    return found.model_copy(update={"sites": sites})


def _noise_share(scenario: Scenario, infos: Infos) -> float:
    """Standard deviation of the weighted mean of independent noise at the sites that are asked.

    It is that of a site / the noise multiplier that is accounted for; where sites share it, so much less at each.
    """
    mechanism = scenario.privacy.mechanism
    if isinstance(mechanism, SharedMechanism):
        return 1.0 / (asked_per_round(scenario) * math.sqrt(mechanism.honest))
    weights = list(stated_weights(scenario, infos).values()) or [1.0]
    squares = sum(weight * weight for weight in weights) / len(weights)
    return math.sqrt(squares / asked_per_round(scenario)) / (sum(weights) / len(weights))


def _largest_share(scenario: Scenario, infos: Infos) -> float:
    """How much of the mean one site can be; of equal sites where none has joined yet, or no server noises a mean."""
    at_server = isinstance(scenario.privacy.mechanism, ServerMechanism)
    weights = stated_weights(scenario, infos) if at_server else {}
    asked = asked_per_round(scenario)
    return max(weights.values()) / expected_weight(weights, asked) if weights else 1.0 / asked
