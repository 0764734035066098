"""Coordinate-wise rules: a function of one column's sorted values, applied to all columns in small blocks."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from robustness.aggregation.contract import Rows

BLOCK = 1000
"""Columns sorted at once: 100 rows of them are 400 kB, which fits in a second-level cache. No power of two: rows whose
addresses differ by one fall into the same cache lines, and transposing them takes seven times as long."""


def over_sorted(
    matrix: Float[Tensor, "site value"], reduce: Callable[[Float[Tensor, "value site"]], Float[Tensor, " value"]]
) -> Float[Tensor, " value"]:
    """Sort every column of ``matrix`` and reduce it to one number.

    A block is copied, transposed and sorted along the contiguous axis by numpy, whose sort of short rows is vectorised:
    12 times as fast on 100 rows as sorting or partitioning along axis 0, and 50 times as fast as ``torch.sort``.

    Args:
        matrix: one row per site.
        reduce: columns as rows, ascending -> one number for each.
    """
    out = torch.empty(matrix.shape[1])
    for start in range(0, matrix.shape[1], BLOCK):
        block = matrix[:, start : start + BLOCK].contiguous().numpy().T.copy()
        block.sort(axis=1)
        out[start : start + BLOCK] = reduce(torch.from_numpy(block))
    return out


def over_chunks(
    rows: Rows, reduce: Callable[[Float[Tensor, "site value"]], Float[Tensor, " value"]]
) -> Float[Tensor, " value"]:
    """Reduce all columns of ``rows``, a chunk at a time, in one pass."""
    out, start = torch.empty(rows.num_values), 0
    for chunk in rows.chunks():
        stop = start + chunk.shape[1]
        out[start:stop] = reduce(chunk)
        start = stop
    return out
