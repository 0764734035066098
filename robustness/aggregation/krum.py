"""Krum: the update that lies closest to its neighbours (Blanchard et al., NeurIPS 2017)."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from medfed.types import Weights
from robustness.aggregation.checks import NumByzantine, require_updates
from robustness.aggregation.contract import Rows
from robustness.aggregation.gram import Coefficients, Gram, combine, gram, squared_distances


def krum_scores(distances: Gram, num_byzantine: int) -> Coefficients:
    """For every row the sum of its squared distances to the n - f - 2 nearest others (at least one, if there is one).

    Args:
        distances: squared distances between the rows, zeros on the diagonal.
        num_byzantine: f.
    """
    num_sites = distances.shape[0]
    num_nearest = max(1, num_sites - num_byzantine - 2)
    others = distances.clone().fill_diagonal_(torch.inf).sort(dim=1).values[:, : num_sites - 1]
    return others[:, :num_nearest].sum(dim=1)


def krum_order(products: Gram, num_byzantine: int) -> list[int]:
    """The rows from the lowest score to the highest; of equal ones the first in the order of names comes first."""
    scores = krum_scores(squared_distances(products), num_byzantine)
    order: list[int] = torch.argsort(scores, stable=True).tolist()
    return order


def mean_of(chosen: list[int], num_sites: int) -> Coefficients:
    """The coefficients of the plain mean of some rows."""
    coefficients = torch.zeros(num_sites, dtype=torch.float64)
    coefficients[chosen] = 1.0 / len(chosen)
    return coefficients


@plugin
class Krum:
    """One update, as it is: the one with the least sum of squared distances to its n - f - 2 nearest others.

    Attributes:
        num_byzantine: f, how many updates may be anything.
    """

    num_byzantine: NumByzantine

    def min_updates(self) -> int:
        """2 f + 3: the paper proves resilience for 2 f + 2 < n."""
        return 2 * self.num_byzantine + 3

    def __call__(
        self, rows: Rows, weights: Float[Tensor, " site"], state: Weights, generator: np.random.Generator
    ) -> tuple[Float[Tensor, " value"], Weights]:
        """Every site counts once."""
        require_updates(self, rows)
        best = krum_order(gram(rows), self.num_byzantine)[:1]
        return combine(rows, mean_of(best, len(rows.sites))), state
