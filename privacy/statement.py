"""From the releases of a run to what may be said of it: who is protected from whom, how well, and what is not covered.

With few sites the answer for whole sites is bad, and is said. One site moves the mean by its share s of the bound C;
noise of standard deviation z s C on d values has the norm z s C sqrt(d). Noise of T rounds adds up as sqrt(T), updates
that are all as long as the bound and all point the same way as T: where z s sqrt(d) > sqrt(T), even their sum is
shorter than the noise. Where every site is asked in every round, z = sqrt(T) / mu for a given epsilon, and the number
of rounds drops out: s sqrt(d) > mu.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medfed.registry import name_of
from medfed.results import Guarantee, PrivacyStatement, SiteGuarantee
from privacy.accountants import TIGHTEST
from privacy.accountants.contract import Accountant
from privacy.gaussian import noise_multiplier
from privacy.release import NEIGHBOURS, Release, Unit, accountant_of, holding, replaced, total_epsilon, under

USEFUL_EPSILON = 8.0
"""What an outlook is stated for: the weakest of De et al. (arXiv:2204.13650, 81.4 % on CIFAR-10 at delta 1e-5)."""


@dataclass(frozen=True)
class Setting:
    """What a statement is about, beside the releases.

    Attributes:
        mechanism: its name.
        trusted: who sees what is not noised.
        at_sites: noise is added at the sites, not at the server.
        num_sites: how many sites are asked in a round.
        num_rounds: of the run; a site may be asked in some of them only.
        noise_share: standard deviation of the noise on the mean / (noise multiplier x bound).
        num_values: trained values that travel.
        delta: at which epsilon is stated.
        replayable: the noise is of the scenario's seed.
        summed: nobody but a site sees its update, noised or not.
        accountant: by which method, unless the noise is on integers.
    """

    mechanism: str
    trusted: str
    at_sites: bool
    num_sites: int
    num_rounds: int
    noise_share: float
    num_values: int
    delta: float
    replayable: bool
    summed: bool = False
    accountant: Accountant = TIGHTEST


def statement(releases: Sequence[Release], setting: Setting) -> PrivacyStatement:
    """What ``releases``, one or more, come to; they are those of the site that took part most often."""
    guarantees = [_guarantee(releases, setting), _guarantee([replaced(each) for each in releases], setting)]
    return PrivacyStatement(
        mechanism=setting.mechanism,
        noise_multiplier=releases[0].noise_multiplier,
        guarantees=guarantees,
        trusted=setting.trusted,
        covered=_covered(setting),
        not_covered=_not_covered(setting),
        replayable=setting.replayable,
        sentence=_sentence(guarantees[0], releases, setting),
        outlook=site_outlook(
            len(releases),
            setting.num_rounds,
            setting.num_sites,
            noise_share=setting.noise_share,
            num_values=setting.num_values,
            delta=setting.delta,
        ),
    )


def site_guarantees(
    releases: Mapping[str, Sequence[Release]], delta: float, accountant: Accountant, replayable: bool
) -> dict[str, SiteGuarantee]:
    """What each site's releases, one or more, come to, and a sentence that says so.

    They are of different units, so that nothing is added up over sites (parallel composition).
    """
    return {site: _of_site(site, found, delta, accountant, replayable) for site, found in sorted(releases.items())}


_HIDDEN: dict[Unit, str] = {
    "record": "what is in any one training image",
    "patient": "what is in all training images of any one patient",
    "site": "whether the site's training data were used",
}


def _of_site(
    site: str, releases: Sequence[Release], delta: float, accountant: Accountant, replayable: bool
) -> SiteGuarantee:
    unit, steps = releases[0].unit, sum(release.steps for release in releases)
    counted = under(holding(unit), releases)
    epsilon = total_epsilon(counted, delta, accountant)
    rate = releases[0].sampling_rate
    how = f"{len(releases)} releases" if unit == "site" else f"{steps} noised steps in {len(releases)} releases"
    share = "" if rate == 1.0 else f", each on a random share of {rate:.3g}"
    holds = "would be protected, were the noise not of the scenario's seed," if replayable else "is protected"
    by = name_of("accountant", accountant_of(counted, accountant))
    sentence = (
        f"{site}: {_HIDDEN[unit]} {holds} with epsilon = {epsilon:.3g} at delta = {delta:g} ({unit}s: "
        f"{NEIGHBOURS[holding(unit)]}; by {by}, {how}{share})."
    )
    return SiteGuarantee(unit=unit, epsilon=epsilon, delta=delta, releases=len(releases), sentence=sentence)


def _covered(setting: Setting) -> str:
    if not setting.at_sites:
        return "the global model of every round"
    seen = "the sum of each round's updates" if setting.summed else "each site's update"
    return f"{seen}, and the global model of every round"


def _guarantee(releases: Sequence[Release], setting: Setting) -> Guarantee:
    delta, epsilon = setting.delta, total_epsilon(releases, setting.delta, setting.accountant)
    unit, relation = releases[0].unit, releases[0].relation
    return Guarantee(unit=unit, relation=relation, epsilon=epsilon, delta=delta, releases=len(releases))


def _not_covered(setting: Setting) -> list[str]:
    """What is told of a site without noise."""
    loss = "" if setting.at_sites else "training loss, "
    numbers = f"each site's {loss}counts of images and steps, validation and test scores, and how long it took"
    found = [
        f"{numbers}: sent to the server" + (", which is not trusted here" if setting.at_sites else ""),
        "rounds.jsonl, summary.json and the page, which hold these numbers",
        "which sites take part, and when: taken for public",
        "baselines, which are trained without noise",
    ]
    return found if setting.at_sites else [*found, "recorded and spooled updates, which lie at the server as they came"]


def _sentence(found: Guarantee, releases: Sequence[Release], setting: Setting) -> str:
    who = "the server and everyone else" if setting.at_sites else "everyone who sees the model of every round"
    by = name_of("accountant", accountant_of(releases, setting.accountant))
    promise = (
        f"Against {who}, the presence of any one site's training data is protected with epsilon = {found.epsilon:.3g} "
        f"at delta = {found.delta:g} (site level, one site added or removed, by {by}, {found.releases} releases); "
        f"trusted: {setting.trusted}. Not so its counts, validation and test scores, which are sent without noise."
    )
    if not setting.replayable:
        return promise
    return (
        "Not private: the noise of this simulation can be drawn again by whoever has the scenario's seed. With noise "
        f"from an operating system's generator this would hold: {promise}"
    )


def site_outlook(
    num_releases: int, num_rounds: int, num_sites: int, *, noise_share: float, num_values: int, delta: float
) -> str:
    """What the noise that hides a whole site with a useful epsilon would do to the mean.

    Args:
        num_releases: of the site that takes part most often.
        num_rounds: of the run.
        num_sites: that are asked in a round.
        noise_share: standard deviation of the noise on the mean / (noise multiplier x bound).
        num_values: trained values that travel.
        delta: at which epsilon is stated.
    """
    multiplier = noise_multiplier(USEFUL_EPSILON, delta, num_releases)
    length = multiplier * noise_share * math.sqrt(num_values)
    needed = (
        f"Epsilon {USEFUL_EPSILON:g} over {num_releases} releases would need noise of norm {length:.3g} times the "
        f"bound in every round, on a mean of updates that is no longer than the bound ({num_sites} sites a "
        f"round, {num_values:,} parameters)"
    )
    if length > math.sqrt(num_rounds):
        return f"{needed}. That is hopeless: even if all updates agreed in every round, their sum would be shorter."
    return f"{needed}."
