"""Rotations and shifts, all of a grid (Engstrom et al., ICML 2019: a grid beats gradients here)."""

import math
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from medfed.registry import plugin
from robustness.attacks.contract import AttackError, Search
from robustness.attacks.projection import Bounds
from robustness.attacks.threat import Norm

Images = Float[Tensor, "batch channel height width"]


@plugin
class Rotation:
    """Turn about the centre and shift; eps is the most by which any point may move, in pixels (Euclidean length).

    Half of eps goes to the turn, of which a corner is the farthest point, and half to the length of the shift.
    Only for images (no volumes) and heads of one decision per image, because a mask would have to turn as well.

    Attributes:
        angles: on the grid, both ways and 0.
        shifts: along each axis, both ways and 0.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("spatial",)
    needs_gradient: ClassVar[bool] = False
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    angles: Annotated[int, Field(ge=1)] = 9
    shifts: Annotated[int, Field(ge=1)] = 5

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Every combination, for the images that are left."""
        require_whole_images(search, "rotation")
        bounds, half = Bounds.of(search.threat, search.images), search.threat.eps / 2
        radius, side = math.hypot(*search.images.shape[2:]) / 2, half / math.sqrt(2)
        largest = 2 * math.asin(min(1.0, half / (2 * radius)))
        grid = torch.cartesian_prod(_spread(self.angles), _spread(self.shifts), _spread(self.shifts))
        for done, (turn, down, right) in enumerate(grid.tolist()):
            search.evaluate(turned(search.images, turn * largest, (down * side, right * side), bounds.low))
            search.keep()
            if not search.num_active:
                return
            search.report((done + 1) / len(grid))


def _spread(number: int) -> Tensor:
    return torch.linspace(-1, 1, number) if number > 1 else torch.zeros(1)


def require_whole_images(search: Search, name: str) -> None:
    """Refuse volumes and segmentations.

    Raises:
        AttackError: names what would work.
    """
    if search.images.ndim != 4 or search.clean_scores.shape[2] >= search.images[0, 0].numel():
        raise AttackError(
            f'attack "{name}": expected two-dimensional images and one decision or finding per image; got images '
            f"{tuple(search.images.shape)}; for segmentation and volumes use linf or l2 attacks"
        )


def turned(images: Images, angle: float, shift: tuple[float, float], low: Tensor) -> Images:
    """Turn by ``angle`` radians about the centre, move by ``shift`` pixels (down, right); bilinear, ``low`` outside."""
    height, width = images.shape[2:]
    cos, sin = math.cos(angle), math.sin(angle)
    down, right = shift
    form = [[cos, -sin * height / width, -2 * right / width], [sin * width / height, cos, -2 * down / height]]
    matrix = torch.tensor(form, dtype=images.dtype, device=images.device).expand(len(images), 2, 3)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return low + functional.grid_sample(images - low, grid, align_corners=False)
