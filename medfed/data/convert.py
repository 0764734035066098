"""Pixels at full size -> what a model is fed: ``channels`` x ``image_size`` x ``image_size``, 8 or 16 bit.

Images are resized to a square without keeping the aspect ratio, by Pillow's antialiased bilinear filter in
floating point; masks by the nearest pixel centre.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medfed.data.faults import INTENSITY, MASK_VALUE, ImageFault

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in ITU-R BT.601 luma."""

PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class DecodeSettings:
    """All that decides what the cache holds. ``num_classes`` is None where masks are not read."""

    image_size: int
    channels: int
    intensity: Literal["bit_depth", "percentiles"]
    masks: Literal["binary", "classes"]
    num_classes: int | None


def prepare_image(pixels: NDArray[Any], settings: DecodeSettings) -> NDArray[Any]:
    """Convert, scale and resize an image.

    Args:
        pixels: (1 or 3, height, width), any numeric type.
        settings: what is wanted.

    Returns:
        (channels, image_size, image_size), uint8 from 8-bit files, else uint16; the type's largest value is 1.0.

    Raises:
        ImageFault: the type has no natural range and ``intensity`` is ``bit_depth``.
    """
    kind = np.dtype(np.uint8) if pixels.dtype == np.uint8 else np.dtype(np.uint16)
    values = to_channels(unit_range(pixels, settings.intensity), settings.channels)
    resized = resize_image(values, settings.image_size)
    top = np.float32(np.iinfo(kind).max)
    rounded: NDArray[Any] = np.clip(np.rint(resized * top), 0, top).astype(kind)
    return rounded


def unit_range(pixels: NDArray[Any], intensity: Literal["bit_depth", "percentiles"]) -> NDArray[np.float32]:
    """Intensities in [0, 1], by the bit depth or by the image's own percentiles."""
    if intensity == "percentiles":
        low, high = np.percentile(pixels, PERCENTILES)
        if high <= low:
            return np.zeros(pixels.shape, dtype=np.float32)
        stretched: NDArray[np.float64] = np.clip((pixels - low) / (high - low), 0.0, 1.0)
        return stretched.astype(np.float32)
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if pixels.dtype.kind == "f" and pixels.min() >= 0.0 and pixels.max() <= 1.0:
        return pixels.astype(np.float32)
    raise ImageFault(INTENSITY, f"{pixels.dtype} values from {pixels.min():g} to {pixels.max():g}")


def to_channels(values: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Grey to RGB by repetition, RGB to grey by ITU-R BT.601 luma."""
    if len(values) == channels:
        return values
    if channels == 3:
        return np.repeat(values, 3, axis=0)
    return np.tensordot(LUMA, values, axes=1)[None].astype(np.float32)


def resize_image(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(channel, height, width) -> (channel, size, size), antialiased bilinear."""
    if values.shape[1:] == (size, size):
        return values
    planes = [Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR) for plane in values]
    return np.stack([np.asarray(plane) for plane in planes])


def prepare_mask(mask: NDArray[np.integer[Any]], settings: DecodeSettings) -> NDArray[np.uint8]:
    """A class map, (image_size, image_size); ``binary``: every value above 0 is class 1.

    Raises:
        ImageFault: a value is not a class index.
    """
    if settings.masks == "binary":
        mask = (mask > 0).astype(np.uint8)
    elif settings.num_classes is not None and (mask.min() < 0 or mask.max() >= settings.num_classes):
        raise ImageFault(
            MASK_VALUE, f"values {mask.min()} to {mask.max()}, expected class indices 0 to {settings.num_classes - 1}"
        )
    return resize_mask(mask.astype(np.uint8), settings.image_size)


def resize_mask(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(height, width) -> (size, size), each pixel from the one under its centre."""
    height, width = mask.shape
    rows = (2 * np.arange(size) + 1) * height // (2 * size)
    columns = (2 * np.arange(size) + 1) * width // (2 * size)
    resized: NDArray[np.uint8] = mask[rows[:, None], columns[None, :]]
    return resized
