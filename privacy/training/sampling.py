"""Poisson sampling: every unit is in a step by a coin of its own, so that batches differ in size and may be empty.

What is said of the privacy of a sampled query (Balle, Barthe and Gaboardi, NeurIPS 2018, Theorem 8; Mironov, Talwar
and Zhang, arXiv:1908.10530) holds for these coins. Batches from shuffled epochs are another distribution, under which
the same noise can cost far more (Chua et al., ICML 2024).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from privacy.training.randomness import Uniform
from privacy.training.units import Positions


def sampling_rate(batch_size: int, num_units: int) -> float:
    """The coin of each unit, so that ``batch_size`` units are expected in a step; all of them where there are fewer."""
    return min(1.0, batch_size / num_units)


def poisson_steps(
    units: Sequence[Positions], rate: float, num_steps: int, uniform: Uniform
) -> Iterator[list[Positions]]:
    """The units of each of ``num_steps`` steps, in their order; an empty step is a step.

    Args:
        units: the images of each.
        rate: probability with which a unit is in a step.
        num_steps: how many steps.
        uniform: draws from [0, 1), independent of all before.
    """
    for _ in range(num_steps):
        drawn = np.flatnonzero(uniform(len(units)) < rate)
        yield [units[int(place)] for place in drawn]
