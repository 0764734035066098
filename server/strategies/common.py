"""What most strategies have in common: plain local training of the whole model, by all sites of the round at once."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import nn

from medfed.params import cast_like
from medfed.types import Update, Weights
from server.strategies.contract import Aggregate


class Common:
    """Federated averaging in which each site counts once; other strategies differ from it in one or two methods.

    ``post_processing`` says that of a round's updates the strategy sees the aggregate's ``tensors`` alone, and weighs
    an update by its ``num_examples`` alone, so that noise in the aggregate protects all that comes of it. It is never
    assumed: a strategy says so itself.
    """

    extras: ClassVar[tuple[str, ...]] = ()
    post_processing: ClassVar[bool] = False

    def client(self) -> Mapping[str, Any]:
        """Plain local training."""
        return {"name": "plain"}

    def personal(self, model: nn.Module) -> frozenset[str]:
        """Nothing: the whole model is shared."""
        return frozenset()

    def stages(self, sites: Sequence[str], generator: np.random.Generator) -> list[list[str]]:
        """All at once."""
        return [list(sites)]

    def broadcast(self, state: Weights) -> Mapping[str, Weights]:
        """Nothing but the weights."""
        return {}

    def weight(self, update: Update) -> float:
        """Every site counts once."""
        return 1.0

    def __call__(self, weights: Weights, aggregate: Aggregate, state: Weights) -> tuple[Weights, Weights]:
        """Add the mean change; there is no state."""
        return add(weights, aggregate.tensors), state


def add(weights: Weights, change: Weights) -> Weights:
    """``weights + change`` in the dtypes of ``weights``; integers are rounded to the nearest."""
    return {name: cast_like(value + change[name], value) for name, value in weights.items()}
