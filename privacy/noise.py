"""Where the noise comes from: a generator of the seed in a simulation, the operating system's in a deployment.

Noise that can be drawn again can be taken off again: whoever knows the seed of a scenario knows all noise of its
simulation, which therefore protects nobody.
"""

import os
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from medfed.rng import Name, numpy_generator
from medfed.types import Weights

Normal = Callable[[int], Float64[ndarray, " number"]]
"""``normal(n)``: n draws from N(0, 1), independent of all before."""


def seeded_normal(seed: int, *names: Name) -> Normal:
    """Draws that anyone with the seed can repeat, from the stream ``names`` (:mod:`medfed.rng`)."""
    return numpy_generator(seed, *names).standard_normal


def system_normal(number: int) -> Float64[ndarray, " number"]:
    """Draws from the operating system's generator, by Box and Muller (Ann. Math. Stat. 1958).

    Uniform numbers of 53 bits, so that no draw is beyond 8.6.
    """
    pairs = (number + 1) // 2
    bits = np.frombuffer(os.urandom(16 * pairs), dtype=np.uint64).reshape(2, pairs) >> np.uint64(11)
    radius = np.sqrt(-2.0 * np.log((bits[0] + 1.0) * 2.0**-53))  # of a number in (0, 1]
    angle = 2.0 * np.pi * 2.0**-53 * bits[1]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:number]


def add_noise(values: Weights, standard_deviation: float, normal: Normal) -> Weights:
    """``values + N(0, standard_deviation^2)``, tensor by tensor in their order; all are floating-point."""
    return {name: value + _like(value, standard_deviation, normal) for name, value in values.items()}


def _like(value: torch.Tensor, standard_deviation: float, normal: Normal) -> torch.Tensor:
    draws = torch.from_numpy(standard_deviation * normal(value.numel()))
    return draws.reshape(value.shape).to(value.dtype)
