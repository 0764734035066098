"""A square patch of any content at the place where the model looks most (after Brown et al., 2017; LaVAN, 2018)."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from medfed.registry import plugin
from robustness.attacks.contract import AttackError, Search
from robustness.attacks.losses import margin
from robustness.attacks.projection import Bounds
from robustness.attacks.square import random_windows
from robustness.attacks.steps import Share, Steps, wide
from robustness.attacks.threat import Norm

Images = Float[Tensor, "batch channel *space"]


@plugin
class Patch:
    """One patch per image; its area is at most eps of the image's. A restart tries another place, at random.

    Attributes:
        steps: gradients taken at one place.
        step: length of a step as a share of the range.
        places: places tried; the first has the largest gradient, the others are random.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("patch",)
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    steps: Steps = 30
    step: Share = 0.1
    places: Steps = 3

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Choose a place, fill it, climb.

        Raises:
            AttackError: eps is less than one pixel.
        """
        side = patch_side(search.images, search.threat.eps)
        if side == 0:
            size = search.images[0, 0].numel()
            raise AttackError(
                f'attack "patch": expected eps of at least one pixel, {1 / size:.2g} of the area; got '
                f"{search.threat.eps:g}"
            )
        found = search.evaluate(search.images, margin, gradient=True)
        inside = strongest_window(found.gradient, side)
        for place in range(self.places):
            self._climb(search, inside, generator, place)
            if not search.num_active:
                return
            inside = random_windows(search.images, side, generator)

    def _climb(self, search: Search, inside: Tensor, generator: torch.Generator, place: int) -> None:
        bounds = Bounds.of(search.threat, search.images)
        points = torch.where(inside, search.random_points(generator), search.images)
        for done in range(self.steps):
            found = search.evaluate(points, margin, gradient=True)
            points, gradient, inside = search.keep(found.points, found.gradient, inside)
            if not search.num_active:
                return
            moved = search.project(points + self.step * (bounds.high - bounds.low) * gradient.sign())
            points = torch.where(inside, moved, search.images)
            search.report((place + (done + 1) / self.steps) / self.places)
        search.evaluate(points)
        search.keep()


def patch_side(images: Images, share: float) -> int:
    """The side in pixels of the largest square (cube) that covers at most ``share`` of the image and fits in it."""
    axes, size = images.ndim - 2, images[0, 0].numel()
    side = int((share * size) ** (1 / axes) + 1e-9)
    return min(side, int(min(images.shape[2:])))


def strongest_window(gradient: Images, side: int) -> Bool[Tensor, "batch one *space"]:
    """The square of ``side`` pixels with the largest sum of absolute gradients."""
    pool = functional.avg_pool3d if gradient.ndim == 5 else functional.avg_pool2d
    sums = pool(gradient.abs().sum(dim=1, keepdim=True), side, stride=1)
    corner, inside = sums.flatten(1).argmax(dim=1), torch.ones_like(gradient[:, :1], dtype=torch.bool)
    for axis in range(gradient.ndim - 1, 1, -1):
        first, corner = corner % sums.shape[axis], corner // sums.shape[axis]
        form = [1] * gradient.ndim
        form[axis] = -1
        place = torch.arange(gradient.shape[axis], device=gradient.device).reshape(form)
        inside = inside & (place >= wide(first, gradient)) & (place < wide(first, gradient) + side)
    return inside
