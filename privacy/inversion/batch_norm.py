"""How much of a batch a BatchNorm layer sees: a batch of one value per channel has no variance."""

import copy

import torch
from torch import nn

_BATCH_NORM = nn.modules.batchnorm._BatchNorm


def fewest_values(model: nn.Module, image_shape: tuple[int, ...]) -> int | None:
    """Values per channel that a BatchNorm layer sees of one image, least over layers; None where there is none.

    Where it is 1 (maps of one pixel, or no maps at all) the network cannot be trained on one image at a time.
    """
    probe, seen = copy.deepcopy(model).float().eval(), []
    for layer in probe.modules():
        if isinstance(layer, _BATCH_NORM):
            layer.register_forward_pre_hook(lambda _, given: seen.append(given[0][0, 0].numel()))
    with torch.no_grad():
        probe(torch.zeros(2, *image_shape))
    return min(seen, default=None)
