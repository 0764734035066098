"""The largest values only, with error feedback.

Top-k of the whole update (Aji and Heafield, EMNLP 2017) with memory (Stich, Cordonnier and Jaggi, NeurIPS 2018,
algorithm 1; Karimireddy et al., ICML 2019, algorithm 2): ``p = x + residual``, the k entries of ``p`` of the largest
magnitude travel, the others are the next residual. Biased in each round, but nothing is lost for good, as long as
every update reaches the model: what an update carried that the server refused is lost, as it is without compression.
"""

from itertools import accumulate, pairwise
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Int32, Int64
from pydantic import Field
from torch import Tensor

from medfed.compression.wire import (
    MARK,
    check_exact,
    check_form,
    check_names,
    exact_entries,
    lossy_names,
    require_finite,
    require_plain_names,
)
from medfed.errors import UpdateError
from medfed.registry import plugin
from medfed.types import Weights

VALUES = f"{MARK}values"
INDICES = f"{MARK}indices"
MOST_VALUES = 2**31 - 1
"""The largest int32: a model with more values cannot be indexed."""


@plugin
class TopK:
    """The given share of all floating-point values travels, those of the largest magnitude; the rest follows later.

    Each costs its own bytes and an int32 index into all values, tensors in the order of sorted names; so with
    float32 a share above 0.5 is larger than no compression.

    Attributes:
        share: part of the values of the whole model that travels, at least one. The default drops 99 % (Aji and
            Heafield 2017).
    """

    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01

    def compress(self, tensors: Weights, residual: Weights, generator: np.random.Generator) -> tuple[Weights, Weights]:
        """Add what was left out, keep the largest; the generator is not used."""
        require_plain_names(tensors)
        num_values = _offsets(tensors)[-1]
        owed = _add(tensors, residual)
        vector = _flatten(owed)
        indices = largest(vector, self.count(num_values))
        wire = exact_entries(tensors) | {VALUES: vector[indices], INDICES: indices.to(torch.int32)}
        delivered = self.decompress(wire, tensors)
        return wire, {name: value - delivered[name] for name, value in owed.items()}

    def decompress(self, wire: Weights, like: Weights) -> Weights:
        """Zeros, with the values that travelled in their places."""
        check_names(wire, [*exact_entries(like), VALUES, INDICES])
        found = check_exact(wire, like)
        names, offsets = lossy_names(like), _offsets(like)
        self._check(wire, offsets[-1], _wide(like))
        cuts = torch.searchsorted(wire[INDICES], torch.tensor(offsets, dtype=torch.int32)).tolist()
        for name, offset, (start, end) in zip(names, offsets[:-1], pairwise(cuts), strict=True):
            found[name] = _scatter(like[name], wire[INDICES][start:end] - offset, wire[VALUES][start:end])
        return {name: found[name] for name in like}

    def count(self, num_values: int) -> int:
        """k: how many of ``num_values`` travel."""
        return min(num_values, max(1, round(self.share * num_values)))

    def _check(self, wire: Weights, num_values: int, dtype: torch.dtype) -> None:
        count = self.count(num_values)
        check_form(wire, VALUES, (count,), dtype)
        check_form(wire, INDICES, (count,), torch.int32)
        indices = wire[INDICES]
        if not count:
            return
        if not bool(wire[VALUES].isfinite().all()):
            raise UpdateError(f'tensor "{VALUES}" holds NaN or Inf; lower the learning rate')
        if int(indices[0]) < 0 or int(indices[-1]) >= num_values or not bool((indices[1:] > indices[:-1]).all()):
            raise UpdateError(
                f'tensor "{INDICES}": expected rising indices from 0 to {num_values - 1}, each once; '
                f"got {int(indices.min())} to {int(indices.max())}, or some twice or out of order"
            )


def largest(vector: Float[Tensor, " value"], count: int) -> Int64[Tensor, " count"]:
    """Rising indices of the ``count`` values of the largest magnitude; of equal ones, those that come first."""
    if count == vector.numel():
        return torch.arange(count)
    magnitude = vector.abs().numpy()
    threshold = np.partition(magnitude, len(magnitude) - count)[len(magnitude) - count]
    above = np.flatnonzero(magnitude > threshold)
    equal = np.flatnonzero(magnitude == threshold)[: count - len(above)]
    return torch.from_numpy(np.sort(np.concatenate([above, equal])))


def _wide(weights: Weights) -> torch.dtype:
    """The dtype of values that travel: float32, or float64 where an entry needs it."""
    double = any(weights[name].dtype == torch.float64 for name in lossy_names(weights))
    return torch.float64 if double else torch.float32


def _offsets(weights: Weights) -> list[int]:
    """Where each tensor begins in the vector of all values, and the length of that vector."""
    offsets = list(accumulate((weights[name].numel() for name in lossy_names(weights)), initial=0))
    if offsets[-1] > MOST_VALUES:
        raise ValueError(f"top_k can index {MOST_VALUES} values, the update has {offsets[-1]}; use int8")
    return offsets


def _add(tensors: Weights, residual: Weights) -> Weights:
    """``tensors + residual`` where values may be left out; a residual is as wide as what travels."""
    names, dtype = lossy_names(tensors), _wide(tensors)
    if residual and {n: v.shape for n, v in residual.items()} != {n: tensors[n].shape for n in names}:
        raise ValueError("the residual is of another model: expected the names and shapes of the update, or nothing")
    found = {}
    for name in names:
        value = tensors[name].to(dtype)
        found[name] = value + residual[name] if residual else value
        require_finite(name, found[name])
    return found


def _flatten(owed: Weights) -> Float[Tensor, " value"]:
    return torch.cat([value.reshape(-1) for value in owed.values()]) if owed else torch.zeros(0)


def _scatter(
    like: Float[Tensor, "..."], indices: Int32[Tensor, " some"], values: Float[Tensor, " some"]
) -> Float[Tensor, "..."]:
    """Zeros like ``like`` but for ``values``; those beyond the range of its dtype become the largest it holds."""
    largest_value = torch.finfo(like.dtype).max
    found = torch.zeros(like.numel(), dtype=like.dtype)
    found[indices.to(torch.int64)] = values.clamp(-largest_value, largest_value).to(like.dtype)
    return found.reshape(like.shape)
