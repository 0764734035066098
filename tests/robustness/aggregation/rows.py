"""Rows for tests: a matrix handed out some columns at a time through one buffer, as the server's spool does."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from medfed.types import Weights
from robustness.aggregation.contract import RobustAggregator


class BufferedRows:
    """A rule that keeps a chunk after asking for the next finds it spoiled."""

    def __init__(self, matrix: Tensor, width: int = 7, sites: tuple[str, ...] | None = None) -> None:
        self.matrix = matrix.to(torch.float32)
        self.sites = sites or tuple(f"site-{number:03d}" for number in range(len(matrix)))
        self.num_values = matrix.shape[1]
        self._width = width

    def chunks(self) -> Iterator[Tensor]:
        """Copies of ``width`` columns each."""
        buffer = torch.empty(len(self.sites), self._width)
        for start in range(0, self.num_values, self._width):
            part = self.matrix[:, start : start + self._width]
            buffer[:, : part.shape[1]] = part
            yield buffer[:, : part.shape[1]]
            buffer.fill_(torch.nan)


def normal(num_sites: int, num_values: int, seed: int = 0) -> Tensor:
    """A matrix of standard normal values."""
    return torch.randn(num_sites, num_values, generator=torch.Generator().manual_seed(seed))


def apply(
    rule: RobustAggregator, matrix: Tensor, state: Weights | None = None, seed: int = 0, width: int = 7
) -> Tensor:
    """The aggregate alone."""
    return apply_to(rule, BufferedRows(matrix, width), state, seed)[0]


def apply_to(
    rule: RobustAggregator, rows: BufferedRows, state: Weights | None = None, seed: int = 0
) -> tuple[Tensor, Weights]:
    """The aggregate and the next state."""
    return rule(rows, torch.ones(len(rows.sites)), state or {}, np.random.default_rng(seed))
