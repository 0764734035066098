"""A release: something computed from protected data that left the hands of those who are trusted with it.

An accountant reads releases and nothing else. It refuses those that it cannot account for: a guess would be a promise.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from privacy.accountants import TIGHTEST, covering
from privacy.accountants.contract import Accountant, Composition, Steps
from privacy.accountants.rdp import Rdp

Unit = Literal["record", "patient", "site"]
"""Whose presence is hidden."""

_DISCRETE = "discrete_gaussian"
_KNOWN = ("gaussian", _DISCRETE)

Relation = Literal["add_remove", "replace"]
"""Neighbours: one unit more or less (its contribution is there, or zero), or one with other data."""

NEIGHBOURS: dict[Relation, str] = {"replace": "one replaced", "add_remove": "one added or removed"}
"""In words."""


def holding(unit: Unit) -> Relation:
    """The relation that holds for a unit, which is what a budget counts.

    Sites tell how many images and patients they have, so that one more or less shows. The list of sites is public, and
    what is hidden of a site is whether its data were used.
    """
    return "add_remove" if unit == "site" else "replace"


@dataclass(frozen=True)
class Release:
    """One release.

    Attributes:
        mechanism: how it was noised; ``gaussian``: the query plus N(0, (noise_multiplier x sensitivity)^2);
            ``discrete_gaussian``: integers plus a sum of such noise on integers, of that variance.
        sensitivity: how far one unit moves the query at most, in Euclidean norm, under ``relation``.
        noise_multiplier: standard deviation of the noise / sensitivity.
        sampling_rate: probability with which a unit is in the query, by a coin of its own (Poisson), unknown to those
            who see it; 1: all are, or it is known who.
        steps: how many queries of this kind were released, one after the other.
        unit: whose presence it hides.
        relation: what neighbours are.
        round: of the run, from 1.
    """

    mechanism: str
    sensitivity: float
    noise_multiplier: float
    sampling_rate: float
    steps: int
    unit: Unit
    relation: Relation
    round: int


def replaced(release: Release) -> Release:
    """The same release where neighbours replace a unit: its two contributions are twice as far apart as one is long.

    Raises:
        ValueError: it is stated for that relation already, or is of a mechanism for which this is not known.
    """
    _require_known(release)
    if release.relation != "add_remove":
        raise ValueError(f'expected relation "add_remove", got "{release.relation}"')
    return replace(
        release,
        sensitivity=2.0 * release.sensitivity,
        noise_multiplier=release.noise_multiplier / 2.0,
        relation="replace",
    )


def under(relation: Relation, releases: Iterable[Release]) -> list[Release]:
    """``releases`` as they are stated for ``relation``.

    Raises:
        ValueError: see :func:`replaced`; "add_remove" does not follow from "replace".
    """
    return [release if release.relation == relation else replaced(release) for release in releases]


def total_epsilon(releases: Iterable[Release], delta: float, accountant: Accountant = TIGHTEST) -> float:
    """Epsilon at ``delta`` of all ``releases`` together, which concern the same units; 0 where there is none.

    Noise on integers is bounded by a Gaussian in Renyi divergences alone, so that these account for it, whichever
    ``accountant`` is asked for; sampled units under the replace relation are ``pld``'s.

    Raises:
        ValueError: a release is of a mechanism that is not known, or units or relations are mixed.
        ScenarioError: ``accountant`` cannot account for it.
    """
    found = tuple(releases)
    return accountant_of(found, accountant)(composition(found), delta)


def accountant_of(releases: Iterable[Release], accountant: Accountant) -> Accountant:
    """By which method :func:`total_epsilon` accounts for ``releases`` where ``accountant`` is asked for."""
    found = tuple(releases)
    return Rdp() if any(one.mechanism == _DISCRETE for one in found) else covering(composition(found), accountant)


def composition(releases: Iterable[Release]) -> Composition:
    """What an accountant reads of ``releases``: how many of each kind there are, whatever their order.

    Raises:
        ValueError: a release is of a mechanism that is not known, or units or relations are mixed.
    """
    counts: Counter[tuple[float, float]] = Counter()
    found = tuple(releases)
    for release in found:
        _require_known(release)
        counts[release.noise_multiplier, release.sampling_rate] += release.steps
    if len({(release.unit, release.relation) for release in found}) > 1:
        raise ValueError("releases of different units or relations have no common epsilon")
    steps = (Steps(multiplier, rate, count) for (multiplier, rate), count in sorted(counts.items()) if count)
    return Composition(tuple(steps), replace=any(release.relation == "replace" for release in found))


def _require_known(release: Release) -> None:
    if release.mechanism not in _KNOWN:
        raise ValueError(f"expected a Gaussian release, got {release}: it cannot be accounted for here")
