"""Vary exposure: gamma, contrast and brightness."""

import math
from typing import Annotated

import torch
from pydantic import Field

from medfed.data.transforms.contract import Images, Probability, Targets
from medfed.data.transforms.sampling import chance, uniform
from medfed.registry import plugin


@plugin
class Intensity:
    """x -> x^g, then m + c (x - m) around the image's mean m, then x + b; cut to [0, 1]. All channels alike.

    Attributes:
        brightness: b is uniform on [-brightness, brightness].
        contrast: c is uniform on [1 - contrast, 1 + contrast].
        gamma: log g is uniform on [-log(1 + gamma), log(1 + gamma)], so that darker and lighter are as likely.
        probability: how often an image is changed at all.
    """

    brightness: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    contrast: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    gamma: Annotated[float, Field(ge=0.0, le=10.0)] = 0.1
    probability: Probability = 1.0

    def __call__(self, images: Images, targets: Targets, generator: torch.Generator) -> tuple[Images, Targets]:
        """Transform one batch."""
        largest = math.log1p(self.gamma)
        gamma = torch.exp(uniform(images, -largest, largest, generator))
        contrast = uniform(images, 1.0 - self.contrast, 1.0 + self.contrast, generator)
        brightness = uniform(images, -self.brightness, self.brightness, generator)
        chosen = chance(images, self.probability, generator)
        changed = images**gamma if self.gamma else images
        mean = changed.mean(dim=(1, 2, 3), keepdim=True)
        changed = mean + contrast * (changed - mean) + brightness
        return torch.where(chosen, changed.clamp(0.0, 1.0), images), targets
