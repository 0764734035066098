"""The least noise with which a number of rounds costs at most an epsilon, by any accountant."""

import math
from dataclasses import dataclass

from scipy.optimize import brentq

from privacy.accountants import covering
from privacy.accountants.contract import Accountant, Composition, Steps
from privacy.gaussian import noise_multiplier
from privacy.release import Relation

_RELATIVE = 1e-4  # of the multiplier
_LEAST = 1e-2  # below, epsilon is in the thousands


@dataclass(frozen=True)
class Schedule:
    """What a site does in a run, whatever its noise.

    Attributes:
        rate: probability with which a unit is in a step; 1: all are.
        num_steps: of a round, each of which is released.
        honest: share of the noise's variance that is counted on.
    """

    rate: float
    num_steps: int
    honest: float = 1.0

    def composition(self, multiplier: float, num_rounds: int, relation: Relation) -> Composition:
        """What ``num_rounds`` rounds with this noise release; a unit that is replaced moves a sum twice as far."""
        replace = relation == "replace"
        counted = multiplier * math.sqrt(self.honest) / (2.0 if replace else 1.0)
        return Composition((Steps(counted, self.rate, self.num_steps * num_rounds),), replace)

    def epsilon(
        self, multiplier: float, num_rounds: int, delta: float, relation: Relation, accountant: Accountant
    ) -> float:
        """What ``num_rounds`` rounds with this noise cost, by ``accountant`` where it covers them."""
        composition = self.composition(multiplier, num_rounds, relation)
        return covering(composition, accountant)(composition, delta)


def least_noise(
    epsilon: float, delta: float, schedule: Schedule, num_rounds: int, relation: Relation, accountant: Accountant
) -> float | None:
    """The noise multiplier with which ``num_rounds`` rounds cost at most ``epsilon`` at ``delta``, within 0.01 %.

    Args:
        epsilon: above 0.
        delta: above 0, below 1.
        schedule: steps and sampling rate.
        num_rounds: at least 1.
        relation: what neighbours are.
        accountant: by which method, where it covers the releases.

    Returns:
        It; None where :data:`_LEAST` is enough, so that noise is not what protects.

    Raises:
        ValueError: a number is out of range, or the accountant refuses.
    """

    def excess(logarithm: float) -> float:
        found = schedule.epsilon(math.exp(logarithm), num_rounds, delta, relation, accountant)
        return math.log(max(found, 1e-12) / epsilon)

    # Near it where nothing is sampled; with sampling less is enough.
    high = math.log(noise_multiplier(epsilon, delta, schedule.num_steps * num_rounds))
    while excess(high) > 0.0:
        high += math.log(2.0)
    low = high - math.log(2.0)
    while low > math.log(_LEAST) and excess(low) <= 0.0:
        high, low = low, low - math.log(2.0)
    if low <= math.log(_LEAST):
        return None
    root = float(brentq(excess, low, high, xtol=_RELATIVE / 4.0))
    while excess(root) > 0.0:
        root += _RELATIVE / 2.0
    return math.exp(root)


def costs(
    multipliers: list[float],
    rounds: list[int],
    delta: float,
    schedule: Schedule,
    relation: Relation,
    accountant: Accountant,
) -> list[list[float]]:
    """Epsilon at ``delta`` by number of rounds (rows) and noise multiplier (columns)."""
    return [[schedule.epsilon(z, count, delta, relation, accountant) for z in multipliers] for count in rounds]


def around(num_rounds: int) -> list[int]:
    """Numbers of rounds that are worth comparing with ``num_rounds``."""
    return sorted({1, max(1, num_rounds // 4), max(1, num_rounds // 2), num_rounds, 2 * num_rounds})
