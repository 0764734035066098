"""What a convolution took in, read off the gradient of its weights by linear algebra.

With one image, dL/dW = sum_p k_p u_p^T over output positions p: k_p is the gradient by the output at p, u_p the patch
of the input that the kernel sees there. Where there are no more positions than output channels, and the k_p are
linearly independent, the rows of dL/dW span exactly the patches: the row space of a linear layer's gradient (Dimitrov
et al., *SPEAR: Exact gradient inversion of batches in federated learning*, NeurIPS 2024) with positions in
place of examples. Neighbouring patches overlap. So few maps have *all* their patches in that space that the input,
up to a factor, is the one with the least energy outside:

    a = argmin over |a| = 1 of sum_p |(I - V V^T) E_p a|^2,

with V an orthonormal basis of the rows and E_p a the patch at p; the eigenvector of the smallest eigenvalue of a matrix
as large as the input. Neither labels nor what comes before or after the layer matter.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

Convolution = nn.Conv2d | nn.Conv3d

_ROUNDS = 8
"""Of inverse iteration; each divides what is wrong by the ratio of the two smallest eigenvalues."""
_RIDGE = 1e-10


class Spanned(NamedTuple):
    """A layer's input, and how sure it is.

    Attributes:
        direction: (channel, *space), of length 1; its sign is not known.
        doubt: the smallest eigenvalue over the second smallest: near 0 where one map alone fits, 1 where several do.
    """

    direction: Tensor
    doubt: float


def readable(layer: nn.Module) -> bool:
    """Whether it is a convolution that this page is about."""
    return (
        isinstance(layer, Convolution)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


def patch_index(layer: Convolution, shape: tuple[int, ...]) -> Int[Tensor, "position value"]:
    """For every output position, which input values the kernel sees: 1 is the first of ``shape``, 0 the padding.

    Args:
        layer: see :func:`readable`.
        shape: (channel, *space) of the input.
    """
    assert not isinstance(layer.padding, str)
    index = torch.arange(1, 1 + torch.Size(shape).numel()).reshape(shape)
    index = functional.pad(index, [width for width in reversed(layer.padding) for _ in range(2)])
    for kernel, stride, dilation in zip(layer.kernel_size, layer.stride, layer.dilation, strict=True):
        places = (index.shape[1] - dilation * (kernel - 1) - 1) // stride + 1
        index = index.movedim(1, -1)[..., stride * torch.arange(places)[:, None] + dilation * torch.arange(kernel)]
    axes = len(layer.kernel_size)
    index = index.permute(*range(1, 2 * axes, 2), 0, *range(2, 2 * axes + 1, 2))
    return index.reshape(-1, layer.in_channels * torch.Size(layer.kernel_size).numel())


def spanned(layer: Convolution, shape: tuple[int, ...]) -> bool:
    """Whether the rows of the weights' gradient can span all patches, and say more of them than there are unknowns.

    Every input value must be in a patch: of one that a stride steps over nothing is said.
    """
    index, size = patch_index(layer, shape), torch.Size(shape).numel()
    places, values = index.shape
    enough = places <= layer.out_channels and places * (values - places) > size
    return enough and len(set(index.flatten().tolist()) - {0}) == size


def layer_input_direction(
    layer: Convolution, gradient: Float[Tensor, "output input *kernel"], shape: tuple[int, ...]
) -> Spanned:
    """The input of ``layer`` for one image.

    Args:
        layer: one that is :func:`spanned`.
        gradient: by its weights, or anything proportional to it.
        shape: (channel, *space) of the input. Time grows with the cube of its values, memory with 24 bytes times their
            square.
    """
    index = patch_index(layer, shape)
    rows = gradient.detach().double().flatten(1)
    basis = torch.linalg.svd(rows, full_matrices=False).Vh[: len(index)]
    outside = torch.eye(rows.shape[1], dtype=torch.float64) - basis.T @ basis
    size = torch.Size(shape).numel()
    energy = torch.zeros(size + 1, size + 1, dtype=torch.float64)
    for row in index:
        energy.index_put_((row[:, None], row[None]), outside, accumulate=True)
    energy = energy[1:, 1:]
    energy.diagonal().add_(_RIDGE)
    factor = torch.linalg.cholesky(energy)
    energy.diagonal().sub_(_RIDGE)
    found = torch.randn(size, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(_ROUNDS):
        found = torch.linalg.qr(torch.cholesky_solve(found, factor)).Q
    values, vectors = torch.linalg.eigh(found.T @ energy @ found)
    direction = (found @ vectors[:, 0]).reshape(shape)
    least, second = (values.clamp_min(0.0) + _RIDGE).tolist()
    return Spanned(direction, least / second)
