"""Add noise."""

from typing import Annotated

import torch
from pydantic import Field

from medfed.data.transforms.contract import Images, Probability, Targets
from medfed.data.transforms.sampling import chance, uniform
from medfed.registry import plugin


@plugin
class Noise:
    """Add independent Gaussian noise to every pixel and channel; cut to [0, 1].

    Attributes:
        std: the standard deviation is uniform on [0, std] per image, in units of the intensity range.
        probability: how often an image is changed at all.
    """

    std: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    probability: Probability = 1.0

    def __call__(self, images: Images, targets: Targets, generator: torch.Generator) -> tuple[Images, Targets]:
        """Transform one batch."""
        std = uniform(images, 0.0, self.std, generator)
        chosen = chance(images, self.probability, generator)
        noise = torch.randn(images.shape, generator=generator).to(images)
        return torch.where(chosen, (images + std * noise).clamp(0.0, 1.0), images), targets
