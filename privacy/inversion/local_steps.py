"""The site's optimizers as pure, differentiable functions of weights and gradients."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from medfed.training.optimizers import SGD, AdamW, Optimizer
from medfed.types import Weights
from privacy.inversion.errors import InversionError

State = dict[str, Weights]
Step = Callable[[Weights, Weights, State, int], tuple[Weights, State]]
"""(weights, gradients, state, number of this step from 1) -> what is added to the weights, and the next state."""

_TINY = 1e-20
"""Keeps the square root differentiable at 0; far below the square of AdamW's epsilon."""
_EPSILON = 1e-8  # torch.optim.AdamW's default, which the plug-in keeps


def step_of(optimizer: Optimizer, lr_scale: float, smoothing: float = 0.0) -> Step:
    """The optimizer's step.

    Args:
        optimizer: ``sgd`` or ``adamw``.
        lr_scale: factor on its learning rate.
        smoothing: added to AdamW's denominator, as a share of its root mean square in each tensor. AdamW's first step
            is nearly the sign of the gradient, whose derivative is zero; an attack needs a slope.

    Raises:
        InversionError: another optimizer.
    """
    makers: Mapping[type, Callable[[Any, float, float], Step]] = {SGD: _sgd, AdamW: _adamw}
    if type(optimizer) not in makers:
        raise InversionError(
            f"observation: optimizer {type(optimizer).__name__} cannot be simulated; expected sgd or adamw, or None "
            "(unknown), which uses the direction of the change alone"
        )
    return makers[type(optimizer)](optimizer, lr_scale, smoothing)


def _sgd(optimizer: SGD, lr_scale: float, smoothing: float) -> Step:
    """torch.optim.SGD: d = g + decay x; v <- momentum v + d (v = d first); x <- x - lr v, or lr (d + momentum v)."""
    rate, momentum, decay = optimizer.lr * lr_scale, optimizer.momentum, optimizer.weight_decay

    def step(weights: Weights, gradients: Weights, state: State, number: int) -> tuple[Weights, State]:
        moved = {n: g + decay * weights[n] for n, g in gradients.items()} if decay else gradients
        if not momentum:
            return {n: -rate * d for n, d in moved.items()}, state
        velocity = {n: momentum * state["velocity"][n] + d for n, d in moved.items()} if state else moved
        ahead = {n: moved[n] + momentum * v for n, v in velocity.items()} if optimizer.nesterov else velocity
        return {n: -rate * d for n, d in ahead.items()}, {"velocity": velocity}

    return step


def _adamw(optimizer: AdamW, lr_scale: float, smoothing: float) -> Step:
    """Algorithm 2 of Loshchilov and Hutter (ICLR 2019) in torch's form."""
    rate, (first, second) = optimizer.lr * lr_scale, optimizer.betas

    def step(weights: Weights, gradients: Weights, state: State, number: int) -> tuple[Weights, State]:
        none = {n: torch.zeros_like(g) for n, g in gradients.items()}
        was_mean, was_square = (state["mean"], state["square"]) if state else (none, none)
        mean = {n: first * was_mean[n] + (1 - first) * g for n, g in gradients.items()}
        square = {n: second * was_square[n] + (1 - second) * g * g for n, g in gradients.items()}
        moves = {}
        for name, weight in weights.items():
            root = torch.sqrt(square[name] / (1 - second**number) + _TINY)
            floor = _EPSILON + smoothing * torch.sqrt(torch.mean(root.detach() ** 2))
            direction = mean[name] / (1 - first**number) / (root + floor)
            moves[name] = -rate * (optimizer.weight_decay * weight + direction)
        return moves, {"mean": mean, "square": square}

    return step


def plain(optimizer: Optimizer | None) -> bool:
    """Whether the change is a sum of gradients, up to one factor."""
    return isinstance(optimizer, SGD) and not optimizer.momentum and not optimizer.weight_decay


def tensors(value: Mapping[str, Tensor], dtype: torch.dtype) -> Weights:
    """Detached copies in another floating type; integer tensors stay."""
    return {
        name: tensor.detach().to(dtype if tensor.is_floating_point() else tensor.dtype).clone()
        for name, tensor in value.items()
    }
