"""What the back ends of Opacus share: its wrapper around the model for a while, and a loss that is a sum."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from medfed.types import Weights
from privacy.training.backends.contract import SampleLoss, trained
from privacy.training.clipping import Inputs, PerSample, Targets


@contextmanager
def wrapped(model: nn.Module, mode: str) -> Iterator[Any]:
    """``model`` in Opacus's wrapper of this mode; layers that work in place, which breaks it, do so no longer."""
    from opacus.grad_sample.utils import wrap_model

    for module in model.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010 - which layers have one, their types do not say
    found = wrap_model(model, grad_sample_mode=mode, batch_first=True, loss_reduction="sum")
    try:
        yield found
    finally:
        found.to_standard_module() if hasattr(found, "to_standard_module") else found.remove_hooks()
        for parameter in model.parameters():
            for attribute in ("grad_sample", "_norm_sample", "_forward_counter"):
                if hasattr(parameter, attribute):
                    delattr(parameter, attribute)
            parameter.grad = None


def sample_losses(loss: SampleLoss, logits: Tensor, targets: Targets) -> Tensor:
    """The loss of each image by itself."""
    return torch.stack([loss(logits[place : place + 1], targets[place : place + 1]) for place in range(len(logits))])


def per_sample_of(module: Any, model: nn.Module, loss: SampleLoss) -> PerSample:
    """Gradients that the wrapper leaves at the parameters.

    Raises:
        ValueError: it left none at a parameter: it has no rule for this layer.
    """

    def per_sample(inputs: Inputs, targets: Targets) -> tuple[Weights, Tensor]:
        parameters = trained(model)
        for parameter in parameters.values():
            parameter.grad = parameter.grad_sample = None  # type: ignore[attr-defined]
        losses = sample_losses(loss, module(inputs), targets)
        torch.autograd.backward(losses.sum())
        found = {name: getattr(value, "grad_sample", None) for name, value in parameters.items()}
        missing = [name for name, value in found.items() if value is None]
        if missing:
            raise ValueError(f"no gradient of single images at {missing[0]}")
        return {name: value.detach() for name, value in found.items() if value is not None}, losses.detach()

    return per_sample
