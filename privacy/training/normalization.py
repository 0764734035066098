"""Another model in the place of one with BatchNorm, for models that do not let their normalization be chosen.

Opacus's ``ModuleValidator.fix`` makes new weights and, at maps of one pixel with as many groups as channels, an output
of zero. Here scale and shift are kept, and a group has two channels or more where they can be divided so.
"""

import copy

from torch import nn

from medfed.models.layers import num_groups


def with_group_norm(model: nn.Module) -> nn.Module:
    """A copy in which every BatchNorm layer is a GroupNorm layer with the same scale and shift; statistics are lost."""
    found = copy.deepcopy(model)
    for parent in found.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(parent, name, _grouped(child))
    return _grouped(found) if isinstance(found, nn.modules.batchnorm._BatchNorm) else found


def _grouped(layer: nn.modules.batchnorm._BatchNorm) -> nn.GroupNorm:
    channels = layer.num_features
    made = nn.GroupNorm(num_groups(channels), channels, eps=layer.eps, affine=layer.affine)
    if layer.affine:
        made.weight, made.bias = layer.weight, layer.bias
    return made
