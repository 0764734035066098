"""The model as an attack may see it: in evaluation mode, weights fixed, and afterwards exactly as it was."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robustness.attacks.contract import SideEffectError


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Inside: every module in eval mode (BatchNorm uses its running statistics), no weight wants a gradient.

    Afterwards train flags, ``requires_grad``, gradients and the global random states of torch, numpy and Python are
    put back, and the bytes of weights, buffers and gradients are compared with those before.

    Raises:
        SideEffectError: the bytes differ; names the first tensor.
    """
    before = _tensors(model)
    kept = {name: (tensor, tensor.detach().clone()) for name, tensor in before.items()}
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    flags = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    states = _random_states()
    try:
        model.eval()
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, training in flags:
            module.training = training
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)
        _set_random_states(states)
    changed = [name for name, found in _tensors(model).items() if name not in kept or not _same(found, *kept[name])]
    changed += sorted(set(kept) - set(_tensors(model)))
    for parameter, gradient in gradients:
        parameter.grad = gradient
    if changed:
        raise SideEffectError(
            f'tensor "{changed[0]}" of the model changed during the attack ({len(changed)} in all): expected the same '
            "bytes before and after; the model writes to itself in eval mode; make its forward leave them alone"
        )


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Weights, buffers (also those outside the state dict) and gradients by name."""
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    gradients = {f"{name}.grad": p.grad for name, p in model.named_parameters() if p.grad is not None}
    return named | gradients


def _same(found: Tensor, was: Tensor, copy: Tensor) -> bool:
    """Whether it is the same tensor with the same bytes (so NaN equals NaN)."""
    return found is was and found.shape == copy.shape and bool(torch.equal(_bytes(found), _bytes(copy)))


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _random_states() -> tuple[Any, ...]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return torch.get_rng_state(), cuda, np.random.get_state(), random.getstate()


def _set_random_states(states: tuple[Any, ...]) -> None:
    torch.set_rng_state(states[0])
    if states[1]:
        torch.cuda.set_rng_state_all(states[1])
    np.random.set_state(states[2])
    random.setstate(states[3])
