"""Model weights as values: state dict <-> flat vector, differences, norms, safetensors files."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from medfed.files import replacing
from medfed.types import Weights

_METADATA_KEY = "medfed"


def get_weights(model: nn.Module) -> Weights:
    """A copy of the model's state dict, buffers included, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def set_weights(model: nn.Module, weights: Weights) -> None:
    """Load ``weights``; every name and shape must fit."""
    model.load_state_dict(weights, strict=True)


def difference(after: Weights, before: Weights) -> Weights:
    """``after - before``, name by name."""
    return {name: after[name] - value for name, value in before.items()}


def prefixed(prefix: str, weights: Weights) -> Weights:
    """``weights`` under ``prefix/name``, so that several groups can lie in one file."""
    return {f"{prefix}/{name}": value for name, value in weights.items()}


def group(weights: Weights, prefix: str) -> Weights:
    """The inverse of :func:`prefixed`: the entries under ``prefix/``, by their own names."""
    return {name.removeprefix(f"{prefix}/"): v for name, v in weights.items() if name.startswith(f"{prefix}/")}


def flatten(weights: Weights) -> Float[Tensor, " parameters"]:
    """All values as one float32 vector, in the order of the names as they stand in ``weights``."""
    if not weights:
        return torch.zeros(0)
    return torch.cat([value.reshape(-1).to(torch.float32) for value in weights.values()])


def unflatten(vector: Float[Tensor, " parameters"], like: Weights) -> Weights:
    """The inverse of :func:`flatten`: shapes, names and dtypes of ``like`` (integers are rounded).

    Raises:
        ValueError: the length of ``vector`` is not the number of values in ``like``.
    """
    if vector.numel() != num_values(like):
        raise ValueError(f"vector has {vector.numel()} values, the weights have {num_values(like)}")
    parts = torch.split(vector, [value.numel() for value in like.values()])
    return {
        name: cast_like(part.reshape(value.shape), value)
        for (name, value), part in zip(like.items(), parts, strict=True)
    }


def cast_like(value: Tensor, like: Tensor) -> Tensor:
    """``value`` in the dtype of ``like``; rounded to the nearest where that is an integer type."""
    return value.to(like.dtype) if like.is_floating_point() else value.round().to(like.dtype)


def num_values(weights: Weights) -> int:
    """Number of scalars."""
    return sum(value.numel() for value in weights.values())


def num_bytes(weights: Weights) -> int:
    """Size in bytes."""
    return sum(value.numel() * value.element_size() for value in weights.values())


def norm(weights: Weights) -> float:
    """Euclidean norm over all values, accumulated in float64."""
    squares = sum(float(value.to(torch.float64).square().sum()) for value in weights.values())
    return float(squares**0.5)


def save_weights(path: Path, weights: Weights, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a safetensors file whole or not at all (temporary file, fsync, rename).

    The metadata goes in as one JSON string, so that equal weights give equal bytes.

    Raises:
        WriteError: it cannot be written.
    """
    tensors = {name: value.contiguous() for name, value in weights.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, {_METADATA_KEY: json.dumps(dict(metadata or {}), sort_keys=True)})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())


def load_weights(path: Path) -> Weights:
    """Read a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping


def load_metadata(path: Path) -> dict[str, Any]:
    """The metadata that :func:`save_weights` stored."""
    with safe_open(path, framework="pt") as file:
        found: dict[str, Any] = json.loads((file.metadata() or {}).get(_METADATA_KEY, "{}"))
        return found
