"""One step of DP-SGD, from the clipped sum to the gradient that an optimizer sees (Abadi et al., CCS 2016)."""

from medfed.types import Weights
from privacy.noise import Normal, add_noise


def noisy_mean(total: Weights, clip: float, noise_multiplier: float, expected: float, normal: Normal) -> Weights:
    """``(total + N(0, (z C)^2)) / expected``, also where nobody was drawn and ``total`` is zero.

    How many were drawn is not released: a mean over them would tell it, and one unit would move it by more than C.

    Args:
        total: sum of the clipped gradients of the units that were drawn.
        clip: C.
        noise_multiplier: z.
        expected: sampling rate x number of units.
        normal: standard normal draws.
    """
    noised = add_noise(total, noise_multiplier * clip, normal)
    return {name: value.div_(expected) for name, value in noised.items()}
