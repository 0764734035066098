"""The median of a window (feature squeezing's local smoothing: Xu, Evans and Qi, NDSS 2018)."""

from typing import Annotated

from pydantic import AfterValidator, Field

from medfed.registry import plugin
from robustness.defences.filter_contract import Images, padded


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError(f"expected an odd number of pixels, such as 3; got {size}")
    return size


@plugin
class MedianFilter:
    """Replace every pixel by the median of the square (cube in a volume) around it, the border repeated.

    The gradient goes to the pixel that is the median.

    Attributes:
        size: side of the window in pixels, odd.
    """

    size: Annotated[int, Field(ge=1, le=15), AfterValidator(_odd)] = 3

    def __call__(self, images: Images) -> Images:
        """Filter one batch."""
        windows = padded(images, self.size // 2)
        for axis in range(2, images.ndim):
            windows = windows.unfold(axis, self.size, 1)
        return windows.flatten(images.ndim).median(dim=-1).values
