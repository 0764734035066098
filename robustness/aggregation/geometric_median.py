"""The geometric median by smoothed Weiszfeld steps (RFA: Pillutla, Kakade and Harchaoui, IEEE TSP 2022)."""

from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from medfed.registry import plugin
from medfed.types import Weights
from robustness.aggregation.checks import Positive, require_updates
from robustness.aggregation.contract import Rows
from robustness.aggregation.gram import Coefficients, Gram, combine, distances_to, gram

CONVERGED = 1e-10
"""Steps end when the coefficients, which sum to 1, change by less than this in total: beneath what float32 shows."""


def weiszfeld(products: Gram, smoothing: float, max_steps: int) -> Coefficients:
    """Coefficients of the geometric median: from the mean on ``a_i = b_i / sum b``, ``b_i = 1 / max(nu, ||x_i - z||)``.

    Args:
        products: inner products of the rows.
        smoothing: nu, in units of a distance between updates.
        max_steps: the most steps; each of them lowers the smoothed sum of distances.
    """
    num_sites = products.shape[0]
    coefficients = torch.full((num_sites,), 1.0 / num_sites, dtype=torch.float64)
    for _ in range(max_steps):
        before = coefficients
        pull = 1.0 / distances_to(products, coefficients).clamp(min=smoothing)
        coefficients = pull / pull.sum()
        if float((coefficients - before).abs().sum()) < CONVERGED:
            break
    return coefficients


@plugin
class GeometricMedian:
    """The point with the least sum of distances to the updates; bounded as long as fewer than half are not honest.

    The paper weighs sites by their images and stops after a few steps, each of which is a round of messages there;
    here every site counts once, and steps are nearly free.

    Attributes:
        smoothing: nu of the paper: a distance below it counts as it. 1e-6 is the paper's value.
        max_steps: steps after which the point is taken as it is, converged or not.
    """

    smoothing: Positive = 1e-6
    max_steps: Annotated[int, Field(ge=1, le=100_000)] = 1000

    def min_updates(self) -> int:
        """One: the geometric median is always defined."""
        return 1

    def __call__(
        self, rows: Rows, weights: Float[Tensor, " site"], state: Weights, generator: np.random.Generator
    ) -> tuple[Float[Tensor, " value"], Weights]:
        """Every site counts once."""
        require_updates(self, rows)
        return combine(rows, weiszfeld(gram(rows), self.smoothing, self.max_steps)), state
