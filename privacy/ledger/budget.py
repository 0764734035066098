"""What a site may spend, and what it has spent, per kind of unit.

A record belongs to a patient and a patient to a site, so that noise for a larger unit protects the smaller ones in it:
whatever one record does, its patient's contribution turns into another one, which is the replace relation of the
larger unit. Noise for records says nothing useful about patients: such a release spends all of a patient's budget.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from medfed.errors import PrivacyBudgetError
from privacy.accountants import TIGHTEST
from privacy.accountants.contract import Accountant
from privacy.release import NEIGHBOURS, Relation, Release, Unit, holding, total_epsilon, under

UNITS: tuple[Unit, ...] = get_args(Unit)
"""From the smallest to the largest."""


@dataclass(frozen=True)
class Budget:
    """``epsilon`` at ``delta`` is the most that all releases together may cost one ``unit``, by ``accountant``.

    It is of the relation that holds (:func:`privacy.release.holding`).
    """

    unit: Unit
    epsilon: float
    delta: float
    accountant: Accountant = TIGHTEST

    def require(self, before: Sequence[Release], planned: Release | None) -> None:
        """Refuse ``planned`` (None: something without noise) where it would exceed what is left after ``before``.

        Raises:
            PrivacyBudgetError: it would.
        """
        if planned is None or not covers(planned, self.unit):
            noise = "none" if planned is None else f"for one {planned.unit}"
            raise PrivacyBudgetError(f"budget per {self.unit}: what is to be released has noise {noise}")
        cost = spent([*before, planned], self.unit, self.delta, self.accountant)
        if cost > self.epsilon:
            so_far = spent(before, self.unit, self.delta, self.accountant)
            raise PrivacyBudgetError(
                f"budget per {self.unit}: epsilon {self.epsilon:g} at delta {self.delta:g} "
                f"({NEIGHBOURS[holding(self.unit)]}); spent so far {so_far:.4g} in {len(before)} releases; "
                f"round {planned.round} would make it {cost:.4g}"
            )


def covers(release: Release, unit: Unit) -> bool:
    """Whether the noise of ``release`` hides one ``unit``."""
    return UNITS.index(release.unit) >= UNITS.index(unit)


def spent(
    releases: Sequence[Release],
    unit: Unit,
    delta: float,
    accountant: Accountant = TIGHTEST,
    relation: Relation | None = None,
) -> float:
    """Epsilon at ``delta`` that ``releases`` together cost one ``unit``; infinite where one of them does not hide it.

    Without ``relation`` it is of the one that holds. Where larger units are among the releases, all are counted by the
    replace relation, which contains the other.
    """
    if not all(covers(release, unit) for release in releases):
        return math.inf
    larger = any(release.unit != unit for release in releases)
    counted = under("replace" if larger else relation or holding(unit), releases)
    return total_epsilon([replace(release, unit=unit) for release in counted], delta, accountant)
