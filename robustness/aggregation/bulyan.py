"""Bulyan over Krum (El Mhamdi, Guerraoui and Rouault, ICML 2018): select by Krum, then trim by coordinate.

Step 1 takes theta = n - 2 f updates: Krum's choice, set aside, again among the rest. Step 2 takes, in every coordinate,
the mean of the beta = theta - 2 f values nearest to the median of the selected ones.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from medfed.types import Weights
from robustness.aggregation.checks import NumByzantine, require_updates
from robustness.aggregation.columns import over_chunks, over_sorted
from robustness.aggregation.contract import Rows
from robustness.aggregation.gram import Gram, gram, squared_distances
from robustness.aggregation.krum import krum_scores
from robustness.aggregation.median import middle


def select_by_krum(products: Gram, num_byzantine: int) -> list[int]:
    """Step 1: n - 2 f rows, in their own order; n of the scores shrinks with every row set aside."""
    distances = squared_distances(products)
    left = list(range(distances.shape[0]))
    selected = []
    for _ in range(len(left) - 2 * num_byzantine):
        scores = krum_scores(distances[left][:, left], num_byzantine)
        selected.append(left.pop(int(scores.argmin())))
    return sorted(selected)


def mean_near_median(ordered: Float[Tensor, "value site"], num_near: int) -> Float[Tensor, " value"]:
    """Step 2: the mean of the ``num_near`` values nearest to the median, of rows in ascending order.

    They stand side by side; of all windows of their number theirs reaches least far from the median (of two that
    reach equally far, the lower one is taken).
    """
    center = middle(ordered)[:, None]
    lowest, highest = ordered[:, : ordered.shape[1] - num_near + 1], ordered[:, num_near - 1 :]
    start = torch.maximum(center - lowest, highest - center).argmin(dim=1, keepdim=True)
    # Gathered, not taken from running sums: a huge value to the left would swallow the sum of the others.
    return ordered.gather(1, start + torch.arange(num_near)).mean(dim=1)


def trim_near_median(matrix: Float[Tensor, "site value"], num_near: int) -> Float[Tensor, " value"]:
    """Step 2 for every column."""
    return over_sorted(matrix, lambda ordered: mean_near_median(ordered, num_near))


@plugin
class Bulyan:
    """Krum's choices, then in every coordinate the mean of those nearest to their median.

    Against attacks that hide one large coordinate in an update that is close to the others in distance.

    Attributes:
        num_byzantine: f, how many updates may be anything.
    """

    num_byzantine: NumByzantine

    def min_updates(self) -> int:
        """4 f + 3, as the paper asks."""
        return 4 * self.num_byzantine + 3

    def __call__(
        self, rows: Rows, weights: Float[Tensor, " site"], state: Weights, generator: np.random.Generator
    ) -> tuple[Float[Tensor, " value"], Weights]:
        """Every site counts once."""
        require_updates(self, rows)
        selected = select_by_krum(gram(rows), self.num_byzantine)
        num_near = len(selected) - 2 * self.num_byzantine
        return over_chunks(rows, lambda chunk: trim_near_median(chunk[selected], num_near)), state
