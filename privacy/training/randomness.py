"""What private training draws: coins, noise, augmentation, dropout.

In a deployment all of it is of the operating system. Coins that are known are no sampling; and where augmentation or
dropout can be drawn again, one image more moves the draws of all after it, so that steps with and without it differ by
more than the one clipped gradient. With draws that nobody knows, the others' can be taken for the same.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from medfed.rng import derive_seed, numpy_generator, torch_generator
from privacy.noise import Normal, seeded_normal, system_normal

Uniform = Callable[[int], Float64[ndarray, " number"]]
"""``uniform(n)``: n draws from [0, 1), independent of all before."""


@dataclass(frozen=True, eq=False)
class Randomness:
    """The streams of one site's round.

    Attributes:
        normal: of the noise.
        uniform: of the coins.
        transforms: of augmentation.
        layers: seed of dropout and the like.
    """

    normal: Normal
    uniform: Uniform
    transforms: torch.Generator
    layers: int


def seeded_randomness(seed: int, site: str, round_number: int) -> Randomness:
    """Draws that anyone with the seed can repeat: for simulations."""
    return Randomness(
        normal=seeded_normal(seed, site, round_number, "privacy"),
        uniform=numpy_generator(seed, site, round_number, "poisson").random,
        transforms=torch_generator(seed, site, round_number, "transforms"),
        layers=derive_seed(seed, site, round_number, "layers"),
    )


def system_randomness() -> Randomness:
    """Draws that nobody can repeat; augmentation and dropout go on from a seed of 63 bits that is kept nowhere."""
    return Randomness(system_normal, system_uniform, torch.Generator().manual_seed(_seed()), _seed())


def system_uniform(number: int) -> Float64[ndarray, " number"]:
    """Draws of 53 bits from the operating system's generator."""
    bits = np.frombuffer(os.urandom(8 * number), dtype=np.uint64) >> np.uint64(11)
    return bits * 2.0**-53


def _seed() -> int:
    return int.from_bytes(os.urandom(8), "little") >> 1
