"""Elastic deformation: a smooth field that moves every pixel a little (after Xiao et al., stAdv, ICLR 2018)."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.losses import margin
from robustness.attacks.rotation import require_whole_images
from robustness.attacks.steps import Share, Steps
from robustness.attacks.threat import Norm

Images = Float[Tensor, "batch channel height width"]
Field2D = Float[Tensor, "batch axis rows columns"]


@plugin
class Elastic:
    """Climb on a coarse grid of displacements, spread over the image bilinearly; none is longer than eps pixels.

    Attributes:
        steps: gradients taken.
        step: length of a step as a share of eps.
        spacing: pixels between the points of the coarse grid.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("spatial",)
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    steps: Steps = 30
    step: Share = 0.1
    spacing: Annotated[int, Field(ge=1)] = 4

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Sign steps on the field, from a random one."""
        require_whole_images(search, "elastic")
        eps = search.threat.eps
        sides = [max(2, side // self.spacing + 1) for side in search.images.shape[2:]]
        field = torch.rand((len(search.images), 2, *sides), generator=generator).to(search.images)
        field = _within((2 * field - 1) * eps, eps)
        for done in range(self.steps):
            with torch.enable_grad():
                field = field.detach().requires_grad_(True)
                points = deformed(search.images, field)
            found = search.evaluate(points.detach(), margin, gradient=True)
            (slope,) = torch.autograd.grad(points, field, found.gradient)
            field, slope = search.keep(field.detach(), slope)
            if not search.num_active:
                return
            field = _within(field + self.step * eps * slope.sign(), eps)
            search.report((done + 1) / self.steps)
        search.evaluate(deformed(search.images, field))


def _within(field: Field2D, eps: float) -> Field2D:
    """No displacement longer than eps."""
    length = field.norm(dim=1, keepdim=True).clamp(min=1e-12)
    shorter: Field2D = field * (eps / length).clamp(max=1.0)
    return shorter


def deformed(images: Images, field: Field2D) -> Images:
    """Read every pixel from where the field points: (down, right) in pixels; bilinear, edges repeated."""
    height, width = images.shape[2:]
    full = functional.interpolate(field, size=(height, width), mode="bilinear", align_corners=True)
    rows = torch.arange(height, dtype=images.dtype, device=images.device)[:, None]
    columns = torch.arange(width, dtype=images.dtype, device=images.device)
    down = (rows + full[:, 0] + 0.5) * 2 / height - 1
    right = (columns + full[:, 1] + 0.5) * 2 / width - 1
    grid = torch.stack([right, down], dim=-1)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
