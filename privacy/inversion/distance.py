"""How far the change that candidates would give is from the change that was seen."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from medfed.types import Weights
from privacy.inversion.terms import DistanceName

_TINY = 1e-30
"""Keeps the root of a sum of squares differentiable where a candidate gives no change at all."""


def cosine(simulated: Weights, seen: Weights) -> Float[Tensor, ""]:
    """1 - <a, b> / (|a| |b|) over all entries of ``seen`` taken as one vector (Geiping et al. 2020, eq. 4)."""
    dot = torch.stack([(simulated[name] * value).sum() for name, value in seen.items()]).sum()
    own = torch.stack([(simulated[name] * simulated[name]).sum() for name in seen]).sum()
    return 1.0 - dot / (torch.sqrt(own + _TINY) * _norm(seen))


def squared(simulated: Weights, seen: Weights) -> Float[Tensor, ""]:
    """|a - b|^2 / |b|^2 over all entries of ``seen`` (Zhu et al. 2019, eq. 4, relative)."""
    errors = torch.stack([((simulated[name] - value) ** 2).sum() for name, value in seen.items()]).sum()
    return errors / _norm(seen) ** 2


def _norm(seen: Weights) -> Tensor:
    return torch.sqrt(torch.stack([(value * value).sum() for value in seen.values()]).sum())


DISTANCES: Mapping[DistanceName, Callable[[Weights, Weights], Tensor]] = {
    "cosine": cosine,
    "squared": squared,
}


def without_zeros(simulated: Weights, seen: Weights) -> Weights:
    """``simulated`` with zeros wherever ``seen`` is zero: entries that the site left out do not count."""
    return {name: simulated[name] * (value != 0) for name, value in seen.items()}
