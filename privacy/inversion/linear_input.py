"""The input of one layer from its output and its weights' gradient: a weighted least squares problem."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from privacy.inversion.chain import Link


class Belief(NamedTuple):
    """Values and the variance of each one's error (one number, or as many as values)."""

    mean: Tensor
    variance: Tensor


_REFINEMENTS = 3
_EDGE = 1e-9
"""Keeps an activation's value inside its range."""


def layer_input_belief(
    link: Link, gradient: Tensor, found: Belief, slopes: Belief, rounding: float
) -> tuple[Belief, Belief]:
    """The layer's input a, and the gradient of the loss by it.

    With f = phi(z), z = W a + b and k = dL/dz: W a = z - b and dL/dW = k a^T (for a convolution, its correlation), both
    linear in a. Errors are taken as independent and small: var z = var f / phi'^2 and so on. A weak prior, a of mean 0
    and variance 1, fills what the equations leave open.

    Args:
        link: the layer.
        gradient: dL/dW.
        found: f, in the shape of the layer's output or flat.
        slopes: dL/df.
        rounding: relative error of the numbers in ``gradient``.
    """
    phi, shape = link.activation, link.outputs.shape
    value = found.mean.reshape(shape).clamp(phi.low + _EDGE, phi.high - _EDGE)
    rise, variance = phi.slope(value), found.variance.expand(value.numel()).reshape(shape)
    by_value = slopes.mean.reshape(shape)
    k = by_value * rise
    k_variance = (
        slopes.variance.expand(k.numel()).reshape(shape) * rise**2 + (by_value * phi.bend(value)) ** 2 * variance
    )
    assert link.layer.bias is not None
    offset = link.layer.bias.detach().reshape(-1, *[1] * (len(shape) - 1))
    wanted = (phi.inverse(value) - offset).flatten()
    sure = 1.0 / (variance / rise**2).clamp_min(1e-30).flatten()
    forward, backward, rows = _equations(link, k, gradient)
    noise = (rounding * gradient.square().mean().sqrt()) ** 2 + k_variance.reshape(len(k), -1).sum(1)
    trust = (1.0 / noise.clamp_min(1e-30)).repeat_interleave(len(backward) // len(k))
    mean, spread = _solved(forward, wanted, sure, backward, rows, trust)
    before = _back(link, k, link.weight), _back(link, k_variance, link.weight**2)
    return Belief(mean, spread), Belief(before[0].flatten(), before[1].flatten())


def _equations(link: Link, k: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(output, input) of W; the (equation, pixel) matrix of the gradient, the same for every input channel; its sides.

    The last has one row per input channel.
    """
    layer, inputs = link.layer, link.inputs
    if isinstance(layer, nn.Linear):
        return link.weight, k[:, None], gradient.T
    channels, pixels = len(inputs), inputs[0].numel()
    assert not isinstance(layer.padding, str)
    unit = torch.eye(inputs.numel(), dtype=torch.float64).reshape(-1, *inputs.shape)
    forward = functional.conv2d(unit, link.weight, None, layer.stride, layer.padding, layer.dilation).flatten(1).T
    places = torch.arange(1.0, pixels + 1.0, dtype=torch.float64).reshape(1, 1, *inputs.shape[1:])
    window = functional.unfold(places, layer.kernel_size, layer.dilation, layer.padding, layer.stride)[0].long()
    index = window[None].expand(len(k), -1, -1)
    backward = torch.zeros(len(k), len(window), pixels + 1, dtype=torch.float64)
    backward.scatter_add_(2, index, k.reshape(len(k), 1, -1).expand_as(index).contiguous())
    sides = gradient.transpose(0, 1).reshape(channels, -1)
    return forward, backward[:, :, 1:].flatten(0, 1), sides


def _solved(
    forward: Tensor, wanted: Tensor, sure: Tensor, backward: Tensor, rows: Tensor, trust: Tensor
) -> tuple[Tensor, Tensor]:
    """The input and its error's variance, by Cholesky on the normal equations, refined on the residual."""
    size, channels = forward.shape[1], len(rows)
    own = (backward * trust[:, None]).T @ backward
    normal = (forward.T * sure) @ forward + torch.eye(size, dtype=torch.float64)
    for first in range(0, size, len(own)):
        normal[first : first + len(own), first : first + len(own)] += own
    factor = torch.linalg.cholesky(normal)
    mean = torch.zeros(size, dtype=torch.float64)
    for _ in range(_REFINEMENTS):
        short = (sure * (wanted - forward @ mean)) @ forward - mean
        missing = rows - mean.reshape(channels, -1) @ backward.T
        short += ((trust * missing) @ backward).flatten()
        mean = mean + torch.cholesky_solve(short[:, None], factor)[:, 0]
    return mean, torch.cholesky_inverse(factor).diagonal()


def _back(link: Link, values: Tensor, weight: Tensor) -> Tensor:
    """W^T values."""
    layer = link.layer
    if isinstance(layer, nn.Linear):
        return values @ weight
    blank = torch.zeros(1, *link.inputs.shape, dtype=values.dtype, requires_grad=True)
    out = functional.conv2d(blank, weight, None, layer.stride, layer.padding, layer.dilation)
    return torch.autograd.grad(out, blank, values[None])[0][0]
