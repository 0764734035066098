"""Min-max: as far as no known honest update is from another (Shejwalkar and Houmansadr, NDSS 2021).

    sent: mean + g p,   g = max { g : max_i ||mean + g p - x_i|| <= max_ij ||x_i - x_j|| }

The paper searches for g by halving. It is the smallest of the roots of one quadratic per honest update, which we take:
with c_i = mean - x_i and D the largest distance,   g^2 |p|^2 + 2 g p.c_i + |c_i|^2 - D^2 = 0.   g = 0 always satisfies
the bound, since the mean lies in the hull of the updates.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from medfed.types import Task
from robustness.byzantine.base import Base
from robustness.byzantine.contract import Cast, Vector, View, alone

_DIRECTIONS: Mapping[str, Callable[[Float[Tensor, "site value"]], Vector]] = {
    "unit": lambda known: -torch.nn.functional.normalize(known.mean(dim=0), dim=0),
    "std": lambda known: -known.std(dim=0, correction=0),
    "sign": lambda known: -known.mean(dim=0).sign(),
}
"""Perturbations of the paper: inverse unit vector, inverse standard deviation, inverse sign."""


def largest_step(known: Float[Tensor, "site value"], direction: Vector) -> float:
    """The g of the formula above; 0 where ``direction`` is zero.

    Args:
        known: honest updates.
        direction: p.
    """
    rows, p = known.double(), direction.double()
    largest = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").max()
    centred = rows.mean(dim=0) - rows
    a = p @ p
    if not a > 0.0:
        return 0.0
    b, c = centred @ p, centred.square().sum(dim=1) - largest.square()
    roots = (-b + (b.square() - a * c).clamp(min=0.0).sqrt()) / a
    return max(0.0, float(roots.min()))


@plugin
class MinMax(Base):
    """The mean of the known honest updates, moved as far as no honest update is from another; all send the same.

    Attributes:
        direction: inverse ``std``, ``unit`` vector or ``sign`` of the mean.
    """

    colludes: ClassVar[bool] = True

    direction: Literal["std", "unit", "sign"] = "std"

    def misfit(self, task: Task, cast: Cast) -> str:
        """With one known update there is no distance to hide in, and it would be sent as it is."""
        return alone("min_max", cast)

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """``mean + g p``."""
        direction = _DIRECTIONS[self.direction](view.known)
        return view.known.mean(dim=0) + largest_step(view.known, direction) * direction
