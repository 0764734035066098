"""Centred clipping (Karimireddy, He and Jaggi, "Learning from History ...", ICML 2021)."""

from typing import Annotated, Literal

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
from robustness.aggregation.mixed_rows import RowsAndVector

CENTRE = "centre"
"""Name of the tensor in the state: where the next round starts."""


def clip_around(products: Gram, start: Coefficients, num_sites: int, radius: float, steps: int) -> Coefficients:
    """Coefficients of v after ``v <- v + 1/n sum_i (x_i - v) min(1, radius / ||x_i - v||)``, so many times.

    Args:
        products: inner products of the rows; the first ``num_sites`` are updates, v may be made of others as well.
        start: coefficients of the first v; all zero for v = 0.
        num_sites: n.
        radius: longest difference from v that counts in full.
        steps: how often.
    """
    coefficients = start
    for _ in range(steps):
        distances = distances_to(products, coefficients)[:num_sites]
        pull = (radius / distances).clamp(max=1.0) / num_sites  # 1 / n where the distance is 0
        coefficients = (1.0 - pull.sum()) * coefficients
        coefficients[:num_sites] += pull
    return coefficients


@plugin
class CentredClipping:
    """The last aggregate plus the mean of the updates' differences from it, each shortened to ``radius``.

    So no site moves it by more than radius / n in a step, and an attack must be kept up over rounds to be felt.

    Attributes:
        radius: tau of the paper, in units of an update's norm; honest updates should mostly lie within it.
        steps: L of the paper; one suffices where the start is good.
        start: ``previous``: the last round's aggregate (zero in the first), kept in the state, one model in size.
            ``zero``: always zero; with one step that is the mean of norm-clipped updates.
    """

    radius: Positive
    steps: Annotated[int, Field(ge=1, le=1000)] = 1
    start: Literal["previous", "zero"] = "previous"

    def min_updates(self) -> int:
        """One: the step is always defined."""
        return 1

    def __call__(
        self, rows: Rows, weights: Float[Tensor, " site"], state: Weights, generator: np.random.Generator
    ) -> tuple[Float[Tensor, " value"], Weights]:
        """Every site counts once."""
        require_updates(self, rows)
        num_sites = len(rows.sites)
        if CENTRE in state:
            rows = RowsAndVector(rows, state[CENTRE])
        start = torch.zeros(len(rows.sites), dtype=torch.float64)
        start[num_sites:] = 1.0
        out = combine(rows, clip_around(gram(rows), start, num_sites, self.radius, self.steps))
        return out, {CENTRE: out} if self.start == "previous" else {}
