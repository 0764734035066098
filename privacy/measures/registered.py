"""PSNR after the best small shift and flip: a network without positions may give an image back moved or mirrored."""

from collections.abc import Iterator
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from privacy.measures.images import Images, decibels, require_pairs


def registered_psnr(images: Images, truth: Images, max_shift: int = 2, flips: bool = True) -> Float[Tensor, " image"]:
    """The best PSNR over all shifts by whole pixels and, if asked, mirror images; never below the plain one.

    A shifted image is compared where it overlaps the true one. It is the best of many, so that a figure for noise is a
    little too high as well.

    Args:
        images: candidates, clipped to [0, 1].
        truth: the same shape.
        max_shift: largest shift along each axis of space, in pixels; at most half of the shortest side.
        flips: try mirroring along every axis of space and all of them together.

    Raises:
        MeasureError: the images cannot be compared. ValueError: ``max_shift`` is out of range.
    """
    require_pairs(images, truth)
    space = images.shape[2:]
    if not 0 <= max_shift <= min(space) // 2:
        raise ValueError(f"expected max_shift from 0 to {min(space) // 2}; got {max_shift}")
    shifts = list(product(range(-max_shift, max_shift + 1), repeat=len(space)))
    best = torch.full((len(images),), float("inf"))
    for mirrored in _mirrored(images.clamp(0.0, 1.0), flips):
        for shift in shifts:
            moved, kept = _overlap(mirrored, shift), _overlap(truth.clamp(0.0, 1.0), [-by for by in shift])
            best = torch.minimum(best, (moved - kept).square().flatten(1).mean(1))
    return decibels(best)


def _mirrored(images: Images, flips: bool) -> Iterator[Images]:
    axes = range(2, images.ndim)
    for chosen in product((False, True), repeat=len(axes)) if flips else [(False,) * len(axes)]:
        yield images.flip([axis for axis, mirror in zip(axes, chosen, strict=True) if mirror])


def _overlap(images: Images, shift: tuple[int, ...] | list[int]) -> Tensor:
    """What is left of images that are moved by ``shift`` out of their frame, at one end of every axis."""
    window = tuple(slice(max(-by, 0), size - max(by, 0)) for by, size in zip(shift, images.shape[2:], strict=True))
    return images[(slice(None), slice(None), *window)]
