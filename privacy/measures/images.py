"""How near a rebuilt image is to the true one: PSNR and SSIM per image.

PSNR = 10 log10(1 / MSE) on images clipped to [0, 1]; SSIM of Wang et al. (IEEE TIP 2004), Gaussian window of 11 pixels
and sigma 1.5, as torchmetrics computes it. A high figure means alike to the eye of a formula, not that a person would
be recognised: for that see :mod:`privacy.measures.identification`.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from medfed.errors import MedfedError

Images = Shaped[Tensor, "..."]
"""(image, channel, *space), floating point in [0, 1]; what is given is checked here, not by its type."""

LARGEST_DB = 100.0
"""PSNR of images that are equal to within float32: an MSE below 10^-10 is not told from 0."""

SSIM_WINDOW = 11
"""Pixels; an image with a shorter side has no SSIM."""


class MeasureError(MedfedError):
    """Images cannot be compared; the message says what was expected."""


def psnr(images: Images, truth: Images) -> Float[Tensor, " image"]:
    """Peak signal-to-noise ratio of each image in dB, at most 100.

    Args:
        images: floating point; clipped to [0, 1].
        truth: the same shape, in [0, 1].

    Raises:
        MeasureError: integer or non-finite values, or shapes that differ.
    """
    require_pairs(images, truth)
    return decibels((images.clamp(0.0, 1.0) - truth.clamp(0.0, 1.0)).square().flatten(1).mean(1))


def decibels(mse: Float[Tensor, " *any"]) -> Float[Tensor, " *any"]:
    """Mean squared error of values in [0, 1] as PSNR in dB, at most 100."""
    return -10.0 * torch.log10(mse.clamp_min(10.0 ** (-LARGEST_DB / 10.0)))


def ssim(images: Images, truth: Images) -> Float[Tensor, " image"]:
    """Structural similarity of each image, -1 to 1; images or volumes of at least 11 pixels a side.

    Raises:
        MeasureError: as :func:`psnr`; a side is shorter than the window.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    require_pairs(images, truth)
    if min(images.shape[2:]) < SSIM_WINDOW:
        raise MeasureError(f"SSIM needs {SSIM_WINDOW} pixels a side or more; got {tuple(images.shape[2:])}")
    found = structural_similarity_index_measure(
        images.clamp(0.0, 1.0), truth.clamp(0.0, 1.0), data_range=1.0, reduction="none"
    )
    assert isinstance(found, Tensor)
    return found.reshape(len(images))


def pairwise_mse(images: Images, truth: Images) -> Float[Tensor, "image other"]:
    """Mean squared error of every image with every true one, computed in float64.

    Raises:
        MeasureError: integer or non-finite values, or images of different shapes.
    """
    require_images(images, truth)
    rows = (images.clamp(0.0, 1.0).flatten(1).double(), truth.clamp(0.0, 1.0).flatten(1).double())
    return torch.cdist(*rows, compute_mode="donot_use_mm_for_euclid_dist").square() / rows[0].shape[1]


def require_pairs(images: Images, truth: Images) -> None:
    """Refuse what :func:`psnr` cannot compare.

    Raises:
        MeasureError: see there.
    """
    require_images(images, truth)
    if len(images) != len(truth):
        raise MeasureError(f"expected as many images as true ones, {len(truth)}; got {len(images)}")


def require_images(images: Images, truth: Images) -> None:
    """Refuse images that no measure can compare.

    Raises:
        MeasureError: integer or non-finite values, or images of different shapes.
    """
    for name, found in (("images", images), ("true images", truth)):
        if not found.is_floating_point():
            raise MeasureError(
                f"{name}: expected floating point in [0, 1]; got {str(found.dtype).removeprefix('torch.')}; divide by "
                "the largest value of the type"
            )
        if found.ndim < 3 or not bool(found.isfinite().all()):
            raise MeasureError(f"{name}: expected finite values, image x channel x space; got {tuple(found.shape)}")
    if images.shape[1:] != truth.shape[1:]:
        raise MeasureError(f"expected images of shape {tuple(truth.shape[1:])}; got {tuple(images.shape[1:])}")
