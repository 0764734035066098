"""Checks of an update before it is folded: the server trusts no number from a site."""

import torch

from medfed.errors import UpdateError
from medfed.types import Update, Weights


def check_update(update: Update, weights: Weights) -> None:
    """Refuse an update that does not fit the global ``weights``.

    Raises:
        UpdateError: names, shapes or dtypes differ, a value is not finite, or a count is not positive.
    """
    where = f"site {update.site}"
    if update.tensors.keys() != weights.keys():
        missing = sorted(weights.keys() - update.tensors.keys())
        extra = sorted(update.tensors.keys() - weights.keys())
        raise UpdateError(
            f"{where}: tensor names differ from the global model: missing {missing[:3]}, unknown {extra[:3]}"
        )
    for name, value in update.tensors.items():
        expected = weights[name]
        if value.shape != expected.shape or value.dtype != expected.dtype:
            raise UpdateError(
                f'{where}: tensor "{name}": expected {_form(expected)}, got {_form(value)}; is its medfed the same?'
            )
        # One sum tells of any NaN or Inf in a single pass; only a suspicious one is looked at again.
        if value.is_floating_point() and not bool(value.sum().isfinite()) and not bool(value.isfinite().all()):
            raise UpdateError(f'{where}: tensor "{name}" holds NaN or Inf; lower the learning rate')
    if update.num_examples <= 0 or update.num_steps <= 0:
        raise UpdateError(
            f"{where}: counts must be positive, got num-examples {update.num_examples}, num-steps {update.num_steps}"
        )


def _form(value: torch.Tensor) -> str:
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
