"""What an aggregator is: how the updates of a round become one.

Two families. A streaming rule scales each update by itself, so that the server folds updates as they come. A robust
rule needs all of them at once and reads them in chunks of coordinates, so that memory does not grow with the sites.
"""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from medfed.types import Weights


@runtime_checkable
class Rows(Protocol):
    """The updates of a round as the rows of a matrix that is never in memory as a whole.

    Rows stand in the order of site names; columns are all values of the model, flattened in the order of its state
    dict.
    """

    @property
    def sites(self) -> tuple[str, ...]:
        """Whose update each row is."""
        ...

    @property
    def num_values(self) -> int:
        """Number of columns."""
        ...

    def chunks(self) -> Iterator[Float[Tensor, "site value"]]:
        """All columns from left to right, some at a time, float32; may be called again for another pass.

        A chunk is read-only and holds its values only until the next one is asked for.
        """
        ...


@runtime_checkable
class StreamingAggregator(Protocol):
    """``sum_k w_k s_k x_k / sum_k w_k``: the strategy gives the weight w_k, the rule the factor s_k."""

    def factor(self, tensors: Weights) -> float:
        """The factor in [0, 1] on an update, from that update alone."""
        ...


@runtime_checkable
class RobustAggregator(Protocol):
    """A rule over all updates of a round. It trusts no weight of a site unless its docstring says so.

    ``state`` is what the rule remembers between rounds, as named tensors; empty the first time. The result does not
    depend on the order of the rows (beyond the order of summation and of ties), but the names in ``rows.sites`` may
    matter where the rule remembers.
    """

    def min_updates(self) -> int:
        """The fewest updates for which the rule's guarantee is defined."""
        ...

    def __call__(
        self, rows: Rows, weights: Float[Tensor, " site"], state: Weights, generator: np.random.Generator
    ) -> tuple[Float[Tensor, " value"], Weights]:
        """Rows, their weights, state, the round's generator -> the aggregate, next state.

        The aggregate, float32, may be part of the next state: nobody writes to either.

        Raises:
            QuorumError: there are fewer rows than :meth:`min_updates`.
        """
        ...
