"""Epsilon from the distribution of the privacy loss, by dp-accounting; exactly where no unit is sampled.

The loss of a composition is the sum of the losses of its queries, so that their distributions are convolved (Meiser and
Mohammadi, CCS 2018). They are discretised upwards, "connecting the dots" (Doroshenko et al., PoPETs 2022), so that the
result is an upper bound. Both directions of add/remove are computed and the larger epsilon counts.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from medfed.registry import plugin
from privacy.accountants.contract import Composition, Steps, checked
from privacy.gaussian import composed_mu, gaussian_epsilon

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

_POINTS = 200_000  # of a discretised loss, about: a fifth of a second
_COARSEST = 1e-3
_PER_DEVIATION = 10  # points per standard deviation of one query's loss: within 0.1 % of 1000 times as many


@plugin
class Pld:
    """Privacy loss distributions: tight, and exact where nothing is sampled. The one to use."""

    def __call__(self, composition: Composition, delta: float) -> float:
        """Epsilon, see :class:`privacy.accountants.contract.Accountant`."""
        return _epsilon(checked(composition, delta), delta)


@lru_cache(maxsize=4096)
def _epsilon(composition: Composition, delta: float) -> float:
    steps = composition.steps
    if all(kind.sampling_rate == 1.0 for kind in steps):
        return gaussian_epsilon(mu_of(steps), delta)
    interval = interval_of(steps)
    first, *others = (
        _loss(kind.noise_multiplier, kind.sampling_rate, composition.replace, interval).self_compose(kind.number)
        for kind in steps
    )
    for other in others:
        first = first.compose(other)
    return float(first.get_epsilon_for_delta(delta))


def mu_of(steps: tuple[Steps, ...]) -> float:
    """Mu of all queries together, as if none were sampled."""
    return composed_mu(kind.noise_multiplier / math.sqrt(kind.number) for kind in steps)


def interval_of(steps: tuple[Steps, ...]) -> float:
    """Between points of the discretised loss: a share of the loss's own deviation, while there are few enough points.

    Too coarse a mesh makes epsilon larger, never smaller.
    """
    wanted = math.sqrt(min(_variance(kind) for kind in steps)) / _PER_DEVIATION
    return max(min(wanted, _COARSEST), reach_of(steps) / _POINTS)


def reach_of(steps: tuple[Steps, ...]) -> float:
    """About how large the loss of all queries together gets: ten deviations above its mean.

    The loss of a sampled query has about the variance q^2 (exp(1 / z^2) - 1) (Dong, Roth and Su, Corollary 5.4), and
    no more than that of one that is not sampled; a mean is about half a variance.
    """
    total = sum(_variance(kind) * kind.number for kind in steps)
    return total / 2.0 + 10.0 * math.sqrt(total)


def _variance(kind: Steps) -> float:
    """Of one query's loss."""
    square = kind.noise_multiplier**-2
    if kind.sampling_rate == 1.0:
        return square
    sampled = kind.sampling_rate**2 * math.expm1(min(square, 500.0))
    return min(square, sampled)


@lru_cache(maxsize=256)
def _loss(multiplier: float, sampling_rate: float, replace: bool, interval: float) -> "PrivacyLossDistribution":
    """Of one query. Neighbours that replace a unit are twice as far apart as its contribution is long."""
    from dp_accounting.pld import privacy_loss_distribution
    from dp_accounting.privacy_accountant import NeighboringRelation

    return privacy_loss_distribution.from_gaussian_mechanism(
        standard_deviation=multiplier * (2.0 if replace else 1.0),
        value_discretization_interval=interval,
        sampling_prob=sampling_rate,
        neighboring_relation=NeighboringRelation.REPLACE_ONE if replace else NeighboringRelation.ADD_OR_REMOVE_ONE,
    )
