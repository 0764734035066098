"""Multi-Krum: the mean of the updates with the best Krum scores (Blanchard et al., NeurIPS 2017)."""

from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from medfed.registry import plugin
from medfed.types import Weights
from robustness.aggregation.checks import NumByzantine, require_updates
from robustness.aggregation.contract import Rows
from robustness.aggregation.gram import combine, gram
from robustness.aggregation.krum import krum_order, mean_of


@plugin
class MultiKrum:
    """The mean of the m updates with the lowest Krum scores, each scored once.

    Attributes:
        num_byzantine: f, how many updates may be anything.
        num_selected: m; 0 means n - f - 2, the number of neighbours that a score looks at. More are refused: they would
            not leave out the f worst and two more.
    """

    num_byzantine: NumByzantine
    num_selected: Annotated[int, Field(ge=0)] = 0

    def min_updates(self) -> int:
        """2 f + 3, and m + f + 2 where m is given."""
        return max(2 * self.num_byzantine + 3, self.num_selected + self.num_byzantine + 2)

    def __call__(
        self, rows: Rows, weights: Float[Tensor, " site"], state: Weights, generator: np.random.Generator
    ) -> tuple[Float[Tensor, " value"], Weights]:
        """Every site counts once."""
        require_updates(self, rows)
        num_sites = len(rows.sites)
        num_selected = self.num_selected or num_sites - self.num_byzantine - 2
        chosen = krum_order(gram(rows), self.num_byzantine)[:num_selected]
        return combine(rows, mean_of(chosen, num_sites)), state
