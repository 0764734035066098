"""What the levels of a U-Net take in, read off the gradients from the bottom up.

The bottom's input is known (:mod:`.patches`), so everything up to the first up-convolution can be computed. The layer
that takes in the skip connection beside it has a weight gradient K (skip, up): the half that is known gives K, and K
gives the other half (:mod:`.products`). With the gradient by the skip connection, which comes through that layer
and through the pooling, the two convolutions of the level above are undone one after the other: where the rectifier
is open its outputs are known, and where it is shut only their share in the normalization is missing, which a fixed
point finds. What comes out is the input of the next level, four times as many positions as below, and so on while a
layer has fewer positions than there are values in a patch.

Labels, masks and the loss do not matter. The layout is that of :class:`medfed.models.unet.UNetModule`.
"""

import copy
from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from medfed.models.unet import UNetModule
from privacy.inversion.products import Unsolvable, layer_input, output_gradients
from privacy.inversion.rectifiers import from_outputs, revised

_ROUNDS = 40
_NEARLY_STILL, _STILL = 1e-3, 1e-9
"""Relative changes of a round below which rectifiers are decided, and below which it was the last."""
_SHUT = -0.6
"""What a closed rectifier is taken to hide at first, near the mean of the negative half of a normal distribution."""
_LIKE = 1e-4
"""1 - cosine up to which a level counts as found, between its output and the one that what was found gives."""


class _Level(NamedTuple):
    """Values of one level: what it takes in, up to a factor, and what it hands to the up-convolution above it."""

    inputs: Tensor
    outputs: Tensor


def highest_input(
    model: UNetModule, gradients: Mapping[str, Tensor], bottom: Float[Tensor, "1 channel height width"]
) -> tuple[str, Tensor]:
    """The convolution of the highest level that can be read, and its input up to a factor.

    Args:
        model: with GroupNorm or InstanceNorm, at the weights of the gradient.
        gradients: by parameter name, or a positive multiple of all of them; what is missing ends the climb.
        bottom: the input of the lowest level, up to a factor; at least zero.
    """
    model = copy.deepcopy(model).double()
    known = {name: value.double() for name, value in gradients.items()}
    with torch.no_grad():
        inputs = bottom.double() / bottom.square().mean().sqrt()
        level = _Level(inputs, model.down[model.depth](inputs))
        for above in range(model.depth - 1, 0, -1):
            try:
                found = _above(model, known, above, level)
            except Unsolvable:  # dead channels, or gradients of zero: equations without an answer
                found = None
            if found is None:
                return f"down.{above + 1}.0", level.inputs
            level = found
    return "down.1.0", level.inputs


def _above(model: UNetModule, gradients: Mapping[str, Tensor], index: int, level: _Level) -> _Level | None:
    """The level ``index`` from the one below it; None where it cannot be read."""
    step = model.depth - 1 - index
    names = [f"merge.{step}.0.weight", f"down.{index + 1}.0.weight", f"down.{index}.3.weight", f"down.{index}.0.weight"]
    if any(name not in gradients for name in names):
        return None
    by_merge, by_below, by_second, by_first = (gradients[name] for name in names)
    block, merge = cast(nn.Sequential, model.down[index]), cast(nn.Sequential, model.merge[step])
    up: Tensor = model.up[step](level.outputs)
    space, channels = (up.shape[2], up.shape[3]), up.shape[1]
    if up[0, 0].numel() >= by_merge[:, channels:].flatten(1).shape[1]:
        return None
    by_merged = output_gradients(_conv(merge, 0), by_merge[:, -channels:], up)
    skip = layer_input(_conv(merge, 0), by_merge[:, :-channels], by_merged, space)
    pooled, where = functional.max_pool2d(skip, 2, return_indices=True)
    below = _conv(cast(nn.Sequential, model.down[index + 1]), 0)
    inputs = level.inputs * ((level.inputs * pooled).sum() / level.inputs.square().sum())
    by_pooled = _passed_back(below, output_gradients(below, by_below, inputs), inputs)
    by_skip = _passed_back(_conv(merge, 0), by_merged, up)[:, :-channels]
    by_skip = by_skip + functional.max_unpool2d(by_pooled, where, [2, 2], output_size=list(space))
    second, first = _conv(block, 3), _conv(block, 0)
    middle, by_outputs = _block_input(second, block[4], by_second, skip, by_skip)
    found, _ = _block_input(first, block[1], by_first, middle, _passed_back(second, by_outputs, middle))
    found = found.clamp_min(0.0)
    again = block(found / found.square().mean().sqrt())
    if not float(1.0 - functional.cosine_similarity(again.flatten(), skip.flatten(), dim=0)) <= _LIKE:
        return None
    return _Level(found, merge(torch.cat([skip.relu(), up], dim=1)))


def _block_input(
    layer: nn.Conv2d, norm: nn.Module, gradient: Tensor, outputs: Tensor, by_outputs: Tensor
) -> tuple[Tensor, Tensor]:
    """The input of convolution, normalization and rectifier, and the gradient by the convolution's outputs.

    The gradient by z, of which a group of channels has the standard deviation s, is
    (h - mean h - n mean(h n)) / s with n = (z - mean z) / s and h the gradient by n. All is known but n where the
    rectifier is shut, and s. From a guess of both follow K, the input (:func:`.products.layer_input`) and a better
    guess. A common factor of the input remains unknown, and one of the given outputs is allowed for.

    Args:
        layer: the convolution.
        norm: GroupNorm or InstanceNorm.
        gradient: by its weights.
        outputs: of the rectifier, up to a factor; (1, channel, height, width).
        by_outputs: gradient by them, up to a factor.
    """
    groups = getattr(norm, "num_groups", outputs.shape[1])
    scale, shift = (cast(Tensor, value)[None, :, None, None] for value in (norm.weight, norm.bias))
    rectifiers, decided = from_outputs(outputs), False
    values, spread = torch.where(rectifiers.open, outputs, _SHUT), outputs.new_ones(groups, 1)
    for _ in range(_ROUNDS):
        by_normal = (by_outputs * rectifiers.open * scale).reshape(groups, -1)
        by_normal = by_normal - by_normal.mean(1, keepdim=True)
        normal = ((values - shift) / scale).reshape(groups, -1)
        by_layer = (by_normal - normal * (by_normal * normal).mean(1, keepdim=True)) / spread
        by_layer = by_layer.reshape(outputs.shape[1], -1)
        inputs = layer_input(layer, gradient, by_layer, (outputs.shape[2], outputs.shape[3]))
        z = layer(inputs.clamp_min(0.0))
        if_open = (by_outputs * scale).reshape(groups, -1) / spread
        spread = z.reshape(groups, -1).std(1, keepdim=True)
        z, spread = z / spread.mean(), spread / spread.mean()
        again, before = norm(z), values
        factor = (outputs * again * rectifiers.open).sum() / (again.square() * rectifiers.open).sum()
        values = torch.where(rectifiers.open, outputs / factor, again.clamp_max(0.0))
        moved = float((values - before).norm() / values.norm())
        if moved < _NEARLY_STILL and not decided:
            was = rectifiers.open
            rectifiers = revised(rectifiers, layer, gradient, by_layer, inputs, if_open.reshape(by_layer.shape))
            decided = bool((was == rectifiers.open).all())
        if moved <= _STILL:
            break
    return inputs, by_layer


def _passed_back(layer: nn.Conv2d, by_output: Tensor, inputs: Tensor) -> Tensor:
    """Gradient by the inputs of a 3x3 convolution that keeps the size."""
    return functional.conv_transpose2d(by_output.reshape(1, -1, *inputs.shape[2:]), layer.weight, padding=1)


def _conv(block: nn.Sequential, index: int) -> nn.Conv2d:
    return cast(nn.Conv2d, block[index])
