"""Rows made of a matrix, or of other rows a chunk at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from robustness.aggregation.contract import Rows


@dataclass(frozen=True, eq=False)
class MatrixRows:
    """The rows of a matrix that is in memory.

    Attributes:
        sites: names of the rows.
        matrix: all rows, float32.
    """

    sites: tuple[str, ...]
    matrix: Float[Tensor, "site value"]

    @property
    def num_values(self) -> int:
        """Number of columns."""
        return self.matrix.shape[1]

    def chunks(self) -> Iterator[Float[Tensor, "site value"]]:
        """All columns at once."""
        yield self.matrix


@dataclass(frozen=True, eq=False)
class MixedRows:
    """Linear combinations of rows: every chunk is ``matrix @ chunk``.

    Attributes:
        rows: what is mixed.
        matrix: one row per combination, one column per site of ``rows``.
        sites: names of the combinations.
    """

    rows: Rows
    matrix: Float[Tensor, "mix site"]
    sites: tuple[str, ...]

    @property
    def num_values(self) -> int:
        """Number of columns."""
        return self.rows.num_values

    def chunks(self) -> Iterator[Float[Tensor, "mix value"]]:
        """All columns, some at a time."""
        for chunk in self.rows.chunks():
            yield self.matrix @ chunk


@dataclass(frozen=True, eq=False)
class RowsAndVector:
    """Rows and one vector below them, which stands under an empty name: no site can have it.

    Attributes:
        rows: the rows above.
        vector: the last row.
    """

    rows: Rows
    vector: Float[Tensor, " value"]

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the rows, then the empty one."""
        return (*self.rows.sites, "")

    @property
    def num_values(self) -> int:
        """Number of columns."""
        return self.rows.num_values

    def chunks(self) -> Iterator[Float[Tensor, "site value"]]:
        """All columns, some at a time."""
        start = 0
        for chunk in self.rows.chunks():
            stop = start + chunk.shape[1]
            yield torch.cat([chunk, self.vector[None, start:stop]])
            start = stop
