"""A convolution's weight gradient as the product dL/dW = K U: given one factor, least squares give the other.

For one image, U has a row for every output position p, the patch of the input that the kernel sees there, and K a
column: the gradient of the loss by the outputs at p. The patches overlap, so that U holds every input value once for
each place of the kernel, and U is linear in the input.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from privacy.inversion.patches import Convolution, patch_index

Unsolvable: type[RuntimeError] = torch.linalg.LinAlgError  # type: ignore[attr-defined]
"""What is raised where a factor is not finite, or an algorithm does not converge."""

_RANK = 1e-12
"""Singular values below this share of the largest count as zero."""


def patches(layer: Convolution, inputs: Float[Tensor, "1 input *space"]) -> Float[Tensor, "position value"]:
    """U.

    Args:
        layer: see :func:`.patches.readable`.
        inputs: of all its input channels, or of the first of them.
    """
    index = patch_index(layer, (layer.in_channels, *inputs.shape[2:]))
    index = index[:, : index.shape[1] // layer.in_channels * inputs.shape[1]]
    return torch.cat([inputs.new_zeros(1), inputs.flatten()])[index]


def spread_out(
    layer: Convolution, by_output: Float[Tensor, "output position"], space: tuple[int, ...]
) -> Float[Tensor, "output place value"]:
    """K as a matrix that takes the values of one input channel to that channel's part of K U."""
    size, places = torch.Size(space).numel(), torch.Size(layer.kernel_size).numel()
    index = patch_index(layer, (layer.in_channels, *space))[:, :places]
    spread = by_output.new_zeros(len(by_output), places, size + 1)
    for place in range(places):
        spread[:, place].index_add_(1, index[:, place], by_output)
    return spread[..., 1:]


def output_gradients(
    layer: Convolution, gradient: Float[Tensor, "output input *kernel"], inputs: Float[Tensor, "1 input *space"]
) -> Float[Tensor, "output position"]:
    """K for known inputs: one answer where there are no more positions than values in a patch.

    Args:
        layer: see :func:`.patches.readable`.
        gradient: by its weights, or by those of some of its input channels.
        inputs: the values of these channels.
    """
    return _solved(patches(layer, inputs).T, gradient.flatten(1).T).T


def layer_input(
    layer: Convolution,
    gradient: Float[Tensor, "output input *kernel"],
    by_output: Float[Tensor, "output position"],
    space: tuple[int, ...],
) -> Float[Tensor, "1 input *space"]:
    """The inputs for known K: one answer where positions are no more than outputs times places of the kernel.

    Args:
        layer: see :func:`.patches.readable`.
        gradient: by its weights, or by those of some of its input channels, which are then the answer's.
        by_output: K.
        space: axes of the input.
    """
    matrix = spread_out(layer, by_output, space).flatten(0, 1)
    found = _solved(matrix, gradient.flatten(2).transpose(1, 2).flatten(0, 1))
    return found.T.reshape(1, -1, *space)


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    if not bool(matrix.isfinite().all()):
        raise Unsolvable("least squares: expected finite numbers; got NaN or infinity")
    found: Tensor = torch.linalg.lstsq(matrix.contiguous(), right.contiguous(), driver="gelsd", rcond=_RANK).solution
    return found
