"""What buffers of an update give away: the running statistics of BatchNorm, which no clipping or noise covers.

After one step a running mean is (1 - m) old + m (mean of the batch), so that the mean of the batch is old + change / m
exactly; over T steps change / m is the sum of what T batches added, the last counted most. A batch of one image gives
its own mean response in every channel.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medfed.models.entries import parameter_names
from medfed.params import set_weights
from medfed.types import Weights

_BATCH_NORM = nn.modules.batchnorm._BatchNorm


def batch_means(model: nn.Module, weights: Weights, change: Weights) -> Weights:
    """Layer -> mean of the batch before normalization, as the change of a single step gives it away.

    Args:
        model: the architecture; nothing of it is changed.
        weights: before the step.
        change: of the entries that travelled. Layers whose running mean did not travel, or did not change, are left
            out, as are those with a cumulative average (momentum None).
    """
    found = {}
    for layer, module in model.named_modules():
        name = f"{layer}.running_mean"
        if isinstance(module, _BATCH_NORM) and module.momentum and bool(change.get(name, torch.zeros(1)).any()):
            found[layer] = weights[name] + change[name] / module.momentum
    return found


def true_batch_means(model: nn.Module, weights: Weights, images: Float[Tensor, "batch channel *space"]) -> Weights:
    """Layer -> mean of what enters each BatchNorm layer when ``images`` are a batch of training; changes ``model``.

    Every image is shown twice, which changes no mean and no variance, and leaves two values where there was one.
    """
    set_weights(model, weights)
    model.train()
    found: dict[str, Tensor] = {}

    def watch(layer: str, given: Tensor) -> None:
        found[layer] = given.detach().transpose(0, 1).flatten(1).mean(1)

    hooks = [
        module.register_forward_pre_hook(lambda _, given, layer=layer: watch(layer, given[0]))
        for layer, module in model.named_modules()
        if isinstance(module, _BATCH_NORM)
    ]
    try:
        with torch.no_grad():
            model(torch.cat([images, images]))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def relative_error(found: Tensor, truth: Tensor) -> float:
    """|found - truth| / |truth|, Euclidean."""
    return float((found - truth).norm() / truth.norm().clamp_min(1e-30))


def told_buffers(model: nn.Module, change: Weights) -> tuple[str, ...]:
    """Entries of ``change`` that are not trained, and so have no noise, and are not zero; sorted.

    Integers are left out: a count of batches tells nothing of an image.
    """
    trained = parameter_names(model)
    return tuple(sorted(n for n, v in change.items() if n not in trained and v.is_floating_point() and bool(v.any())))
