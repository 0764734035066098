"""Blur."""

import math
from typing import Annotated

import torch
from pydantic import Field

from medfed.registry import plugin
from robustness.defences.filter_contract import Images, padded

_TRUNCATE = 4.0
"""Standard deviations at which the kernel ends, as in scipy.ndimage."""


@plugin
class GaussianFilter:
    """Convolve every channel with a Gaussian, its border repeated.

    Attributes:
        sigma: standard deviation in pixels.
    """

    sigma: Annotated[float, Field(gt=0.0, le=32.0)] = 1.0

    def __call__(self, images: Images) -> Images:
        """Filter one batch, axis by axis."""
        radius = math.floor(_TRUNCATE * self.sigma + 0.5)
        places = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
        kernel = torch.softmax(-(places**2) / (2 * self.sigma**2), dim=0)
        blurred = padded(images, radius)
        for axis in range(2, images.ndim):
            blurred = blurred.unfold(axis, 2 * radius + 1, 1) @ kernel
        return blurred.clamp(0.0, 1.0)
