"""Rotate, shift and scale by any amount."""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from medfed.data.transforms.contract import Images, Probability, Targets, has_masks
from medfed.data.transforms.sampling import chance, uniform
from medfed.registry import plugin

Scale = Annotated[float, Field(gt=0.0, le=10.0)]


def affine_matrices(
    angle: Float[Tensor, " batch"], shift: Float[Tensor, "batch 2"], scale: Float[Tensor, " batch"], aspect: float
) -> Float[Tensor, "batch 2 3"]:
    """Maps from output to input coordinates, both in [-1, 1] over the width (x) and the height (y).

    The picture is enlarged by ``scale``, rotated by ``angle`` (radians) about its center, then moved by ``shift``
    (x, y in the same coordinates; 2 is the whole side). So the map undoes the shift, then the turn, then the scale.
    ``aspect`` = height / width keeps circles round.
    """
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    linear = torch.stack([cos, sin * aspect, -sin / aspect, cos], dim=-1).view(-1, 2, 2)
    return torch.cat([linear, -linear @ shift.unsqueeze(-1)], dim=-1)


@plugin
class Affine:
    """A random rotation, shift and scale in one resampling: bilinear for images, nearest for masks.

    Attributes:
        degrees: largest rotation either way.
        translate: largest shift either way, as a fraction of the side.
        scale: smallest and largest magnification.
        padding: what lies outside the image: its border repeated, or its reflection.
        probability: how often an image is moved at all.
    """

    degrees: Annotated[float, Field(ge=0.0, le=180.0)] = 15.0
    translate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    scale: tuple[Scale, Scale] = (0.9, 1.1)
    padding: Literal["border", "reflection"] = "border"
    probability: Probability = 1.0

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> "Affine":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale must be [smallest, largest], got {list(self.scale)}")
        return self

    def __call__(self, images: Images, targets: Targets, generator: torch.Generator) -> tuple[Images, Targets]:
        """Transform one batch."""
        grid = functional.affine_grid(self._matrices(images, generator), list(images.shape), align_corners=False)
        chosen = chance(images, self.probability, generator)
        moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode=self.padding, align_corners=False)
        images = torch.where(chosen, moved.clamp(0.0, 1.0), images)  # bilinear weights can sum to 1 + 1e-7
        if has_masks(targets):
            masks = targets.unsqueeze(1).to(grid.dtype)
            masks = functional.grid_sample(masks, grid, mode="nearest", padding_mode=self.padding, align_corners=False)
            targets = torch.where(chosen[:, 0], masks[:, 0].round().to(targets.dtype), targets)
        return images, targets

    def _matrices(self, images: Images, generator: torch.Generator) -> Float[Tensor, "batch 2 3"]:
        largest = math.radians(self.degrees)
        angle = uniform(images, -largest, largest, generator).flatten()
        reach = 2.0 * self.translate
        shift = [uniform(images, -reach, reach, generator).flatten() for _ in range(2)]
        scale = uniform(images, *self.scale, generator).flatten()
        return affine_matrices(angle, torch.stack(shift, dim=-1), scale, images.shape[-2] / images.shape[-1])
