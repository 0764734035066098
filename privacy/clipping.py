"""Updates that are shortened to a bound, and the bound that follows them (Andrew et al., NeurIPS 2021)."""

import math

import torch

from medfed.params import norm
from medfed.types import Weights

_MOST_STEP = 10.0
"""Of log C in one round: more is the count's noise alone."""


def clip_factor(length: float, bound: float) -> float:
    """``min(1, bound / length)``; 1 for a vector of length 0."""
    return bound / max(bound, length)


def clip(change: Weights, bound: float) -> Weights:
    """``change`` scaled as a whole to a Euclidean norm of at most ``bound``; a zero change stays zero.

    One whose norm is not finite counts as zero: that it was refused would tell of the data that brought it about.
    """
    length = norm(change)
    if not math.isfinite(length):
        return {name: torch.zeros_like(value) for name, value in change.items()}
    factor = clip_factor(length, bound)
    return {name: value * factor for name, value in change.items()}


def adapted_bound(bound: float, share_within: float, quantile: float, rate: float) -> float:
    """C <- C exp(-rate (b - quantile)): Andrew et al., NeurIPS 2021, Algorithm 1, geometric update.

    b counts those that are *not* clipped: where too many fit, the bound falls, where too few do, it rises.

    Args:
        bound: C.
        share_within: b, the share of updates of norm at most C, noised; it may lie outside [0, 1].
        quantile: of the norms of updates, where C is to go: gamma.
        rate: of learning: eta_C.
    """
    exponent = -rate * (share_within - quantile)
    return bound * math.exp(max(-_MOST_STEP, min(_MOST_STEP, exponent)))


def split_multiplier(noise_multiplier: float, count_multiplier: float) -> float:
    """The noise multiplier of the sum, that with a noised count costs what ``noise_multiplier`` alone would.

        z_sum = (z^-2 - (2 sigma_b)^-2)^(-1/2)          (Andrew et al., Theorem 1)

    Args:
        noise_multiplier: z.
        count_multiplier: sigma_b, standard deviation of the noise on the sum of (b_k - 1/2), of sensitivity 1/2; above
            z / 2.

    Raises:
        ValueError: the count alone costs more.
    """
    rest = noise_multiplier**-2 - (2.0 * count_multiplier) ** -2
    if rest <= 0.0:
        raise ValueError(f"the count's noise must be above {noise_multiplier / 2.0}, got {count_multiplier}")
    return float(rest**-0.5)
