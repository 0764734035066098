"""What a backdoor opens to: a mark on the image, in its brightest value.

``patch`` is a square in the lower right corner (BadNets: Gu et al. 2017). ``letter`` is an L in the upper right corner,
like the lead letter that marks the side of a film: it raises no eyebrow, and hospitals put such letters on themselves.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Trigger = Literal["patch", "letter"]

_MARGIN = 1
_STROKE_SHARE = 4  # an L of height h has strokes of h / 4, at least one pixel


def mask(trigger: Trigger, size: int, height: int, width: int) -> NDArray[np.bool_]:
    """Which pixels of a (height, width) image the trigger covers.

    Args:
        trigger: which mark.
        size: its height in pixels; the letter is 3/4 as wide.
        height: of the image.
        width: of the image.

    Raises:
        ValueError: the trigger does not fit into the image.
    """
    if size + 2 * _MARGIN > min(height, width):
        raise ValueError(f"a trigger of {size} pixels does not fit into an image of {height} x {width}")
    covered = np.zeros((height, width), dtype=bool)
    if trigger == "patch":
        covered[height - _MARGIN - size : height - _MARGIN, width - _MARGIN - size : width - _MARGIN] = True
        return covered
    stroke, breadth = max(1, size // _STROKE_SHARE), max(2, 3 * size // 4)
    left, bottom = width - _MARGIN - breadth, _MARGIN + size
    covered[_MARGIN:bottom, left : left + stroke] = True
    covered[bottom - stroke : bottom, left : left + breadth] = True
    return covered


def stamped(pixels: NDArray[Any], trigger: Trigger, size: int) -> NDArray[Any]:
    """Copies of images (image, channel, height, width) with the trigger on each, in the largest value of their type."""
    found = pixels.copy()
    found[..., mask(trigger, size, *pixels.shape[-2:])] = np.iinfo(pixels.dtype).max
    return found
