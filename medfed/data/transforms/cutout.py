"""Cutout (DeVries and Taylor, arXiv:1708.04552): hide a square."""

from typing import Annotated

import torch
from pydantic import Field

from medfed.data.transforms.contract import Images, Probability, Targets
from medfed.data.transforms.sampling import chance, uniform
from medfed.registry import plugin


@plugin
class Cutout:
    """Fill one square with mid-grey (0.5, which models center to 0). Masks stay: the hidden part is to be inferred.

    The square's center is uniform over the image, so that it may hang over the edge, as in the paper.

    Attributes:
        size: side of the square, as a fraction of the image's side.
        probability: how often an image is changed at all.
    """

    size: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    probability: Probability = 0.5

    def __call__(self, images: Images, targets: Targets, generator: torch.Generator) -> tuple[Images, Targets]:
        """Transform one batch."""
        hidden = chance(images, self.probability, generator)
        for axis in (-2, -1):
            center = uniform(images, 0.0, 1.0, generator)
            pixels = (torch.arange(images.shape[axis], device=images.device) + 0.5) / images.shape[axis]
            line = pixels[:, None] if axis == -2 else pixels[None, :]
            hidden = hidden & ((line - center).abs() <= self.size / 2)
        return torch.where(hidden, 0.5, images), targets
