"""The coordinate-wise trimmed mean (Yin et al., ICML 2018, definition 2, with beta = f / n)."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from medfed.types import Weights
from robustness.aggregation.checks import NumByzantine, require_updates
from robustness.aggregation.columns import over_chunks, over_sorted
from robustness.aggregation.contract import Rows


def trimmed_mean(matrix: Float[Tensor, "site value"], num_trimmed: int) -> Float[Tensor, " value"]:
    """The mean of every column without its ``num_trimmed`` smallest and as many largest values."""
    kept = slice(num_trimmed, matrix.shape[0] - num_trimmed)
    return over_sorted(matrix, lambda ordered: ordered[:, kept].mean(dim=1))


@plugin
class TrimmedMean:
    """The mean of every coordinate without its f smallest and f largest values.

    In the range of the honest values if at most f updates are not honest.

    Attributes:
        num_byzantine: f, the number of values cut from each side.
    """

    num_byzantine: NumByzantine

    def min_updates(self) -> int:
        """2 f + 1: one value must be left."""
        return 2 * self.num_byzantine + 1

    def __call__(
        self, rows: Rows, weights: Float[Tensor, " site"], state: Weights, generator: np.random.Generator
    ) -> tuple[Float[Tensor, " value"], Weights]:
        """Every site counts once."""
        require_updates(self, rows)
        return over_chunks(rows, lambda chunk: trimmed_mean(chunk, self.num_byzantine)), state
