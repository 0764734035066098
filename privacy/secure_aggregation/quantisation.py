"""Updates as integers modulo 2^b, with the weight inside, so that their sum is exact.

    q_j = round(levels x_j / clip),   |x_j| <= clip,   y = (w q_1, ..., w q_m, w, number of values cut at clip)  mod 2^b

levels = floor((2^(b-1) - 1) / W), W the largest sum of weights that there can be, so that no sum wraps around; 2^31 at
most, where a step is far below float32's. Rounding is to the nearest: the weighted mean of the sites' clipped values is
met within

    clip / (2 levels)     (+ float64's rounding, relatively 2^-51)

in every value, whoever drops out. Noise is not added: a step is no protection.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medfed.errors import DivergedError, ScenarioError, UpdateError
from privacy.secure_aggregation.masks import Ring

_MOST_LEVELS = 2**31
NUM_COUNTS = 2
"""Numbers behind the values: the weight, and how many values were cut."""


@dataclass(frozen=True)
class Steps:
    """Values from -``clip`` to ``clip`` in 2 ``levels`` steps; integers of ``bits``."""

    bits: int
    clip: float
    levels: int

    @property
    def error(self) -> float:
        """The weighted mean is met within this."""
        return self.clip / (2 * self.levels)

    @property
    def dtype(self) -> type[np.uint32] | type[np.uint64]:
        """Of integers modulo 2^bits."""
        return np.uint32 if self.bits == 32 else np.uint64


def steps_for(bits: int, clip: float, largest_total: int) -> Steps:
    """The finest steps whose weighted sum cannot wrap around.

    Args:
        bits: 32 or 64.
        clip: largest magnitude.
        largest_total: W.

    Raises:
        ScenarioError: so large weights leave no steps.
    """
    levels = min((2 ** (bits - 1) - 1) // max(1, largest_total), _MOST_LEVELS)
    if levels < 1:
        raise ScenarioError(
            f'key "federation.secure_aggregation.bits": weights of {largest_total} in all leave no room for values in '
            f'{bits} bits; expected 64, or federation.strategy.weighting = "uniform"'
        )
    return Steps(bits, clip, levels)


def steps_of(bits: int, clip: float, levels: int, step: float | None) -> Steps:
    """Steps with ``levels`` on either side; where ``step`` is given, of that size, whatever ``clip`` is.

    A mechanism that noises integers says what they stand for, and its noise must not be rounded or cut again.
    """
    return Steps(bits, clip if step is None else levels * step, levels)


def encode(values: NDArray[np.float32], weight: int, steps: Steps) -> Ring:
    """One site's vector, not masked yet: ``len(values) + 2`` integers.

    Raises:
        DivergedError: a value is NaN or infinite.
    """
    if weight < 0:
        raise ValueError(f"expected a weight of 0 or more, got {weight}")
    if not np.isfinite(values).all():
        raise DivergedError("the update holds NaN or Inf; lower the learning rate")
    scaled = values.astype(np.float64) * (steps.levels / steps.clip)
    rounded = np.rint(np.clip(scaled, -steps.levels, steps.levels)).astype(np.int64)
    num_cut = int(np.count_nonzero(np.abs(values.astype(np.float64)) > steps.clip))
    counts = [weight, min(num_cut, weight * steps.levels)]  # no count wraps around either
    integers = np.concatenate([rounded * weight, np.array(counts, np.int64)])
    return integers.astype(np.int32).view(np.uint32) if steps.bits == 32 else integers.view(np.uint64)


@dataclass(frozen=True, eq=False)
class Opened:
    """What the server learns: the weighted mean of the clipped values, the sum of weights, how many values were cut."""

    mean: NDArray[np.float64]
    weight: int
    num_cut: int


def decode(total: Ring, steps: Steps, largest_weight: int) -> Opened:
    """The inverse of the sum of :func:`encode`.

    Args:
        total: sum of the sites' vectors, masks taken off.
        steps: as for the sites.
        largest_weight: the sum of weights cannot be more, since the sites joined with these.

    Raises:
        UpdateError: the sum cannot be one of vectors in range: a site broke the protocol.
    """
    signed = total.view(np.int32 if steps.bits == 32 else np.int64)
    weight, num_cut = int(signed[-2]), int(signed[-1])
    if not 0 < weight <= largest_weight:
        raise UpdateError(f"secure aggregation: expected a sum of weights from 1 to {largest_weight}, got {weight}")
    values = signed[:-NUM_COUNTS]
    bound = weight * steps.levels
    if not 0 <= num_cut <= bound or max(int(values.max(initial=0)), -int(values.min(initial=0))) > bound:
        raise UpdateError(
            f"secure aggregation: the sum holds values that {weight} x {steps.levels} steps cannot reach: a site sent "
            "what is out of range, or a wrong share; nothing of this round was used"
        )
    return Opened(values.astype(np.float64) * (steps.clip / (float(weight) * steps.levels)), weight, num_cut)
