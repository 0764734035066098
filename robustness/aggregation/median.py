"""The coordinate-wise median (Yin et al., ICML 2018, definition 1)."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from medfed.types import Weights
from robustness.aggregation.checks import require_updates
from robustness.aggregation.columns import over_chunks, over_sorted
from robustness.aggregation.contract import Rows


def middle(ordered: Float[Tensor, "value site"]) -> Float[Tensor, " value"]:
    """The median of rows in ascending order: the middle one, or the mean of the middle two."""
    num_sites = ordered.shape[1]
    # Halves first: the sum of two large values may be infinite.
    return 0.5 * ordered[:, (num_sites - 1) // 2] + 0.5 * ordered[:, num_sites // 2]


def coordinate_median(matrix: Float[Tensor, "site value"]) -> Float[Tensor, " value"]:
    """The median of every column."""
    return over_sorted(matrix, middle)


@plugin
class CoordinateMedian:
    """The median of every coordinate: in the range of the honest values as long as fewer than half are not."""

    def min_updates(self) -> int:
        """One: the median is always defined."""
        return 1

    def __call__(
        self, rows: Rows, weights: Float[Tensor, " site"], state: Weights, generator: np.random.Generator
    ) -> tuple[Float[Tensor, " value"], Weights]:
        """Every site counts once."""
        require_updates(self, rows)
        return over_chunks(rows, coordinate_median), state
