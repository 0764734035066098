"""Small weights with a parameter, a variance and a counter, and an aggregate of given changes."""

from collections.abc import Mapping

import numpy as np
import torch

from medfed.types import Weights
from server.strategies.contract import Aggregate

PARAMETERS = frozenset({"layer.weight", "layer.bias"})


def weights(seed: int = 0) -> Weights:
    """Floats, a running variance near 1, and an integer counter."""
    draws = np.random.default_rng(seed)
    return {
        "layer.weight": torch.tensor(draws.normal(size=(3, 4)), dtype=torch.float32),
        "layer.bias": torch.tensor(draws.normal(size=4), dtype=torch.float32),
        "norm.running_var": torch.tensor(1.0 + draws.random(4), dtype=torch.float32),
        "norm.num_batches_tracked": torch.tensor(10),
    }


def changes(seed: int = 1, scale: float = 0.01) -> Weights:
    """Mean changes as the fold makes them: integers in float64."""
    draws = np.random.default_rng(seed)
    found = {
        name: torch.tensor(scale * draws.normal(size=value.shape), dtype=torch.float32)
        for name, value in weights().items()
    }
    return found | {"norm.num_batches_tracked": torch.tensor(4.6, dtype=torch.float64)}


def aggregate(
    tensors: Weights, extras: Mapping[str, Weights] | None = None, metrics: Mapping[str, float] | None = None
) -> Aggregate:
    """Of two sites out of four."""
    return Aggregate(tensors, extras or {}, metrics or {}, 2, 4, PARAMETERS)
