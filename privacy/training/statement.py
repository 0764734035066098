"""What may be said of a run whose sites trained privately: which images are protected from whom, and how well.

The promise is that of the site whose units pay most. Images at different sites are of different people, so that what
one site releases costs the others' nothing (parallel composition, McSherry, SIGMOD 2009); somebody who is a patient at
two sites pays at both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medfed.registry import name_of
from medfed.results import Guarantee, PrivacyStatement
from privacy.accountants.contract import Accountant
from privacy.release import Release, Unit, accountant_of, replaced, total_epsilon
from privacy.statement import site_outlook


@dataclass(frozen=True)
class TrainingSetting:
    """What a statement is about, beside the releases.

    Attributes:
        mechanism: its name.
        trusted: who sees what is not noised.
        clip: the longest gradient of a unit that counts in full.
        backend: how gradients of single images were computed.
        batch_size: expected units in a step.
        site: whose releases they are.
        num_sites: how many sites are asked in a round.
        num_values: trained values that travel.
        delta: at which epsilon is stated.
        accountant: by which method.
        replayable: coins and noise are of the scenario's seed.
        one_image_each: where units are patients: sites whose patients have one image each, so far as is known.
        split_here: sites whose data name no split, so that one was made.
    """

    mechanism: str
    trusted: str
    clip: float
    backend: str
    batch_size: int
    site: str
    num_sites: int
    num_values: int
    delta: float
    accountant: Accountant
    replayable: bool
    one_image_each: Sequence[str] = ()
    split_here: Sequence[str] = ()


def training_statement(releases: Sequence[Release], setting: TrainingSetting) -> PrivacyStatement:
    """What ``releases``, one or more rounds of one site, come to."""
    of_sites = site_outlook(
        len(releases),
        len(releases),
        setting.num_sites,
        noise_share=1.0 / setting.num_sites,
        num_values=setting.num_values,
        delta=setting.delta,
    )
    guarantees = [_guarantee([replaced(each) for each in releases], setting), _guarantee(releases, setting)]
    return PrivacyStatement(
        mechanism=setting.mechanism,
        noise_multiplier=releases[0].noise_multiplier,
        guarantees=guarantees,
        trusted=setting.trusted,
        covered=(
            "every step of every site's training, and with it each update and the global model of every round "
            f"(gradients of single images by {setting.backend})"
        ),
        not_covered=_not_covered(releases[0], setting),
        replayable=setting.replayable,
        sentence=_sentence(guarantees, releases, setting),
        outlook=f"{_outlook(releases[0], setting)} Whole sites are not hidden. {of_sites}",
    )


def split_warning(sites: Sequence[str], unit: Unit) -> str:
    """One line about ``sites`` whose data name no split, where noise is to hide one ``unit``."""
    return f"privacy per {unit} is for a fixed split, and at {', '.join(sites)} the data name none: {_SPLIT}"


_SPLIT = (
    "one was made here from all of a site's data, so that another patient may move the images of others between "
    "training, validation and test, which no epsilon counts; give the split in the data"
)


def _guarantee(releases: Sequence[Release], setting: TrainingSetting) -> Guarantee:
    return Guarantee(
        unit=releases[0].unit,
        relation=releases[0].relation,
        epsilon=total_epsilon(releases, setting.delta, setting.accountant),
        delta=setting.delta,
        releases=len(releases),
    )


def _not_covered(release: Release, setting: TrainingSetting) -> list[str]:
    """What is told of images without noise."""
    found = [
        "each site's class counts, validation and test scores, and how long it took: sent to the server without noise",
        f"how many images and {release.unit}s each site has, from which rates and weights follow: taken for public, "
        f"so that one {release.unit} more or less shows there; only the replace relation holds",
        "how images were split into training, validation and test: taken for fixed",
        "rounds.jsonl, summary.json and the page, which hold these numbers",
        "which sites take part, and when: taken for public",
        "baselines, which are trained without noise",
        "people whose images lie at two sites, who pay at both",
    ]
    if setting.split_here:
        found.append(f"the split of {', '.join(setting.split_here)}: {_SPLIT}")
    if release.unit == "record":
        found.append('patients with several images: each image is protected, not all together (unit = "patient" is)')
    if setting.one_image_each:
        sites = ", ".join(setting.one_image_each)
        found.append(f"patients with several images at {sites}, if there are any: the data name one patient per image")
    return found


def _sentence(found: Sequence[Guarantee], releases: Sequence[Release], setting: TrainingSetting) -> str:
    """The replace relation leads: who is told the counts sees one unit more or less in them."""
    other, present = found
    unit = other.unit
    by, of_present = (
        name_of("accountant", accountant_of(counted, setting.accountant))
        for counted in ([replaced(each) for each in releases], releases)
    )
    what = "any one training image" if unit == "record" else "all training images of any one patient at a site"
    steps = sum(release.steps for release in releases)
    promise = (
        f"Against the server and everyone else who sees updates or models, what is in {what} is protected with "
        f"epsilon = {other.epsilon:.3g} at delta = {other.delta:g} ({unit} level, one {unit} replaced by another, by "
        f"{by}, {steps} steps in {other.releases} releases, each on a share of "
        f"{releases[0].sampling_rate:.3g} drawn at random; the largest of all sites, at {setting.site}); trusted: "
        f"{setting.trusted}. Not so the validation and test scores, which are sent without noise, nor the counts: "
        f"while these are told, epsilon = {present.epsilon:.3g} for one {unit} added or removed (by {of_present}) does "
        "not hold."
    )
    if not setting.replayable:
        return promise
    return (
        "Not private: coins and noise of this simulation can be drawn again by whoever has the scenario's seed. Drawn "
        f"from an operating system's generator, this would hold: {promise}"
    )


def _outlook(release: Release, setting: TrainingSetting) -> str:
    """How the noise of a step compares with what it hides."""
    length = release.noise_multiplier * math.sqrt(setting.num_values) / setting.batch_size
    return (
        f"The noise of a step has a norm of {length:.3g} times the clip, on a mean gradient that is no longer than the "
        f"clip ({setting.batch_size} {release.unit}s expected in a step, {setting.num_values:,} parameters): a larger "
        "training.batch_size makes it smaller."
    )
