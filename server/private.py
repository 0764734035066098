"""The server's side of differential privacy: clipped sums over a fixed denominator, and what the rounds have released.

Weights, and the denominator, follow from what the sites stated when they joined, from ``federation.sites`` and from
``federation.sites_per_round``: from nothing that an update, or its absence, says.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from medfed.config import Scenario
from medfed.messages import SiteInfo
from medfed.params import norm
from medfed.registry import name_of
from medfed.results import PrivacyStatement
from medfed.types import Update, Weights
from privacy.clipping import clip_factor
from privacy.mechanisms.contract import ClippedSum, ServerMechanism, SharedMechanism, TrainingMechanism
from privacy.noise import Normal
from privacy.release import Release, total_epsilon
from privacy.statement import Setting, site_guarantees, statement
from privacy.training.plan import round_release
from privacy.training.scenario import backend_of
from privacy.training.statement import TrainingSetting, training_statement
from server.fold import MeanFold

Infos = Mapping[str, SiteInfo]
Asked = Sequence[Sequence[str]]
"""Who was asked in each round, whether they answered or not."""


class PrivateSum:
    """Clips and sums the updates of one round; then noises their mean.

    Args:
        mechanism: clips, and adds the noise.
        weights: of every site that may answer.
        num_asked: how many sites are asked in a round.
        state: what the mechanism remembers.
        normal: standard normal draws.
    """

    def __init__(
        self, mechanism: ServerMechanism, weights: Mapping[str, float], num_asked: int, state: Weights, normal: Normal
    ) -> None:
        self._mechanism, self._weights, self._num_asked = mechanism, weights, num_asked
        self._state, self._normal = state, normal
        self._fold = MeanFold()
        self._num_within = self._num_clipped = 0

    def add(self, site: str, change: Weights, factor: float) -> None:
        """Add an update, scaled by the aggregator's ``factor`` first; zero is an update like others."""
        bound, length = self._mechanism.bound(self._state), factor * norm(change)
        self._fold.add(change, self._weights[site], factor * clip_factor(length, bound))
        self._num_within += length <= bound
        self._num_clipped += length > bound

    def noisy_mean(self) -> tuple[Weights, Weights]:
        """The mean over the fixed denominator, noised, and the mechanism's next state; the sum is used up."""
        clipped = ClippedSum(
            total=self._fold.total(),
            num_within=self._num_within,
            num_clipped=self._num_clipped,
            largest_weight=max(self._weights.values()),
            expected_weight=expected_weight(self._weights, self._num_asked),
            expected_sites=self._num_asked,
        )
        return self._mechanism.noisy_mean(clipped, self._state, self._normal)


def stated_weights(scenario: Scenario, infos: Infos) -> dict[str, float]:
    """The weight of each training site that ever joined, from the number of images that it stated then."""
    weigh = scenario.federation.strategy.weight
    return {
        site: weigh(Update(site, {}, infos[site].num_train, 1, {})) for site in scenario.training_sites if site in infos
    }


def expected_weight(weights: Mapping[str, float], num_asked: int) -> float:
    """The weight of ``num_asked`` average sites."""
    return num_asked * sum(weights.values()) / len(weights)


def asked_per_round(scenario: Scenario) -> int:
    """How many sites are asked in a round."""
    return scenario.num_asked


def releases(scenario: Scenario, infos: Infos, asked: Asked) -> list[Release]:
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
    counts = {site: sum(site in sites for sites in asked) for site in scenario.training_sites}
    most = max(counts, key=counts.__getitem__)
    share = _largest_share(scenario, infos)
    rounds = [number for number, sites in enumerate(asked, start=1) if most in sites]
    found = [scenario.privacy.mechanism.release(number, share) for number in rounds]
    return [release for release in found if release is not None]


def site_releases(scenario: Scenario, infos: Infos, asked: Asked) -> dict[str, list[Release]]:
    """What each site that joined and was asked released: of its own training, or of its whole update."""
    mechanism, found = scenario.privacy.mechanism, {}
    for site in scenario.training_sites:
        rounds = [number for number, sites in enumerate(asked, start=1) if site in sites]
        if site not in infos or not rounds:
            continue
        if isinstance(mechanism, TrainingMechanism):
            number = infos[site].num_patients if mechanism.unit == "patient" else infos[site].num_train
            once = round_release(mechanism, scenario.training, max(1, number), 1)
        else:
            once = mechanism.release(1, _largest_share(scenario, infos))
        found[site] = [replace(once, round=each) for each in rounds]
    return found


def _dearest(scenario: Scenario, infos: Infos, asked: Asked) -> tuple[str, list[Release]]:
    """The site whose epsilon is the largest, and what it released."""
    found = site_releases(scenario, infos, asked)
    if not found:
        return "", []
    privacy = scenario.privacy
    costs = {site: total_epsilon(found[site], privacy.delta, privacy.accountant) for site in _undominated(found)}
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


def spent(scenario: Scenario, infos: Infos, asked: Asked) -> float | None:
    """Epsilon of all rounds so far; None where nothing is protected."""
    found, privacy = releases(scenario, infos, asked), scenario.privacy
    return total_epsilon(found, privacy.delta, privacy.accountant) if found else None


def privacy_statement(
    scenario: Scenario, infos: Infos, asked: Asked, num_values: int, replayable: bool
) -> PrivacyStatement | None:
    """What may be said of the run; None where nothing is protected, or no round was run.

    Args:
        scenario: all settings.
        infos: how the sites introduced themselves.
        asked: who was asked in each round.
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
        num_rounds=len(asked),
        noise_share=share,
        num_values=num_values,
        delta=scenario.privacy.delta,
        replayable=replayable,
        summed=isinstance(mechanism, SharedMechanism),
        accountant=scenario.privacy.accountant,
    )
    return _with_sites(statement(found, setting), scenario, infos, asked)


def _of_training(
    scenario: Scenario, infos: Infos, asked: Asked, num_values: int, replayable: bool
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
    )
    return _with_sites(training_statement(found, setting), scenario, infos, asked)


def _with_sites(found: PrivacyStatement, scenario: Scenario, infos: Infos, asked: Asked) -> PrivacyStatement:
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
