"""What all compressions share: which entries may be rounded, and checks of what travels.

The names of the extra tensors that a method sends begin with ``#``, which no entry of a state dict does.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from medfed.errors import DivergedError, UpdateError
from medfed.types import Weights

MARK = "#"

_STATISTICS = frozenset({"running_mean", "running_var"})  # torch.nn.modules.batchnorm._NormBase
_SHOWN = 60  # characters of a name that a site made up


def lossy_names(weights: Weights) -> list[str]:
    """Names of the entries that may be rounded, sorted: floating-point, and no statistics of a normalization layer.

    A rounded change of a running variance can take it below zero, and its square root is NaN.
    """
    return sorted(
        name
        for name, value in weights.items()
        if value.is_floating_point() and name.rpartition(".")[2] not in _STATISTICS
    )


def exact_entries(weights: Weights) -> Weights:
    """The entries that pass unchanged."""
    lossy = set(lossy_names(weights))
    return {name: value for name, value in weights.items() if name not in lossy}


def require_plain_names(weights: Weights) -> None:
    """Refuse entries whose name could be taken for one of a method's extra tensors.

    Raises:
        ValueError: a name begins with ``#``.
    """
    marked = [name for name in weights if name.startswith(MARK)]
    if marked:
        raise ValueError(f'names of entries must not begin with "{MARK}", got {marked}')


def require_finite(name: str, value: Tensor) -> None:
    """Refuse to compress what no longer is a number.

    Raises:
        DivergedError: names the tensor.
    """
    if not bool(value.isfinite().all()):
        raise DivergedError(f'tensor "{name}": expected finite values, got NaN or Inf; lower training.optimizer.lr')


def check_names(wire: Weights, expected: Iterable[str]) -> None:
    """Refuse missing and unknown tensors.

    Raises:
        UpdateError: names the first three of each.
    """
    known = set(expected)
    if wire.keys() != known:
        missing = sorted(known - wire.keys())[:3]
        extra = [name[:_SHOWN] for name in sorted(wire.keys() - known)[:3]]
        raise UpdateError(f"tensor names differ from the global model: missing {missing}, unknown {extra}")


def check_form(wire: Weights, name: str, shape: Iterable[int], *dtypes: torch.dtype) -> None:
    """Refuse another shape or dtype than those that the method sends.

    Raises:
        UpdateError: names the tensor, what was expected and got.
    """
    value, shape = wire[name], tuple(shape)
    if tuple(value.shape) != shape or value.dtype not in dtypes:
        wanted = " or ".join(sorted({_word(dtype) for dtype in dtypes}))
        got = f"{tuple(value.shape)} {_word(value.dtype)}"
        raise UpdateError(f'tensor "{name}": expected {shape} {wanted}, got {got}; is its medfed the same?')


def check_exact(wire: Weights, like: Weights) -> Weights:
    """The entries that passed unchanged, checked.

    Raises:
        UpdateError: one has another shape or dtype than in ``like``.
    """
    for name, value in exact_entries(like).items():
        check_form(wire, name, value.shape, value.dtype)
    return {name: wire[name] for name in exact_entries(like)}


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
