"""Arrays -> what a browser shows: an image as PNG, a class map as outlines."""

import base64
import io
import math
from typing import Any

import contourpy
import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_SIDE = 256  # pixels; larger images are made smaller, the page must stay below 10 MB


def to_grey_or_rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    """(channel, height, width) uint8 or uint16 -> (height, width) or (height, width, 3) uint8 for display.

    Brightness is stretched linearly so that the 0.5th and 99.5th percentile over all channels become black and
    white; a constant image stays as dark or bright as it is.
    """
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3 or not image.size or image.dtype.kind not in "uif":
        raise ValueError(f"expected an image (channel, height, width), got shape {image.shape}, {image.dtype}")
    shown = image[:3] if len(image) >= 3 else image[:1]
    values = np.nan_to_num(shown.astype(np.float64))
    low, high = np.percentile(values, (0.5, 99.5))
    if high <= low:
        low, high = 0.0, float(np.iinfo(image.dtype).max) if image.dtype.kind in "ui" else 1.0
    scaled = np.clip((values - low) / (high - low), 0, 1) * 255
    pixels: NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
    return pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)


def png_address(pixels: NDArray[np.uint8]) -> str:
    """The image as a ``data:`` address, at most :data:`MAX_SIDE` pixels wide and high."""
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def outlines(class_map: NDArray[Any]) -> str:
    """The borders of all classes but 0 as SVG path data, in pixels of the class map (0, 0 = upper left corner).

    Marching squares at level 0.5 (contourpy) on a map padded by one pixel, so that objects at the border close.
    Large maps are thinned to every k-th pixel first.
    """
    if class_map.ndim != 2 or not class_map.size:
        raise ValueError(f"expected a class map (height, width), got shape {class_map.shape}")
    step = max(1, math.ceil(max(class_map.shape) / MAX_SIDE))
    thin = np.pad(class_map[::step, ::step], 1)
    parts = []
    for label in np.unique(thin[thin > 0]):
        generator = contourpy.contour_generator(z=(thin == label).astype(np.float64))
        for line in generator.lines(0.5):
            parts.append(_path((np.asarray(line) - 0.5) * step))  # pixel (0, 0) has its center at 0.5, the pad is 1
    return "".join(parts)


def _path(points: NDArray[np.float64]) -> str:
    """A closed path through ``points`` (count, 2), without those that lie on a straight line."""
    ring = points[:-1]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in ring[turns]) + "Z"
