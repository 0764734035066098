"""A release: something computed from protected data that left the hands of those who are trusted with it.

An accountant reads releases and nothing else. It refuses those that it cannot account for: a guess would be a promise.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from privacy.gaussian import composed_mu, gaussian_epsilon

Unit = Literal["record", "patient", "site"]
"""Whose presence is hidden."""

Relation = Literal["add_remove", "replace"]
"""Neighbours: one unit more or less (its contribution is there, or zero), or one with other data."""


@dataclass(frozen=True)
class Release:
    """One release.

    Attributes:
        mechanism: how it was noised; ``gaussian``: the query plus N(0, (noise_multiplier x sensitivity)^2).
        sensitivity: how far one unit moves the query at most, in Euclidean norm, under ``relation``.
        noise_multiplier: standard deviation of the noise / sensitivity.
        sampling_rate: probability with which a unit is in the query, unknown to those who see it; 1: all are, or it is
            known who.
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
    """The same release where neighbours replace a unit: one is removed, one added, and the query moves twice as far.

    Raises:
        ValueError: it is stated for that relation already, or is of a mechanism for which this is not known.
    """
    _require_gaussian(release)
    if release.relation != "add_remove":
        raise ValueError(f'expected relation "add_remove", got "{release.relation}"')
    return replace(
        release,
        sensitivity=2.0 * release.sensitivity,
        noise_multiplier=release.noise_multiplier / 2.0,
        relation="replace",
    )


def total_epsilon(releases: Iterable[Release], delta: float) -> float:
    """Epsilon at ``delta`` of all ``releases`` together, which concern the same units; 0 where there is none.

    Raises:
        ValueError: a release is not of the Gaussian mechanism on all units, or units or relations are mixed.
    """
    found = tuple(releases)
    for release in found:
        _require_gaussian(release)
    if len({(release.unit, release.relation) for release in found}) > 1:
        raise ValueError("releases of different units or relations have no common epsilon")
    return gaussian_epsilon(composed_mu(r.noise_multiplier for r in found for _ in range(r.steps)), delta)


def _require_gaussian(release: Release) -> None:
    if release.mechanism != "gaussian" or release.sampling_rate != 1.0:
        raise ValueError(f"expected a Gaussian release of all units, got {release}: it cannot be accounted for here")
