"""The attack of an audit: cheap attacks first, strong ones on what survives.

The order follows what each stage costs and what it still finds. One step as long as eps takes most images of an
undefended model. Auto-PGD goes on from there; then, from new random points and aimed at other classes or findings, on
the images that came near the boundary. Square needs no gradient and runs at length only where gradients are dead.
"""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from medfed.registry import plugin
from robustness.attacks.aims import aim, num_aims
from robustness.attacks.apgd import climb
from robustness.attacks.contract import Search
from robustness.attacks.losses import margin
from robustness.attacks.projection import Bounds
from robustness.attacks.square import Square
from robustness.attacks.steps import Steps, ascent, soft_ascent
from robustness.attacks.threat import Norm

PerImage = Float[Tensor, " batch"]


@plugin
class Ensemble:
    """A full step, a few soft ones, Auto-PGD on the margin (untargeted, targeted, restarts), then Square.

    Attributes:
        quick_steps: soft steps that follow the full one.
        steps: of the first climb of Auto-PGD, from where the quick steps ended.
        targeted_steps: of the climb towards each other class or finding.
        targets: the most other classes, or findings, that are aimed at one by one.
        restarts: climbs of ``steps`` from random points.
        hope: an image gets a further climb if what is left to the boundary is at most this share of the way that its
            margin has come; with a large number, every image does.
        queries: of Square where every gradient stage ended on live gradients.
        blind_queries: of Square on the images where a gradient was exactly zero.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    quick_steps: Steps = 6
    steps: Steps = 40
    targeted_steps: Steps = 20
    targets: Annotated[int, Field(ge=1)] = 9
    restarts: Annotated[int, Field(ge=0)] = 1
    hope: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 0.3
    queries: Steps = 30
    blind_queries: Steps = 5000

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Stage after stage, until no image is left."""
        points = _full_step(search)
        search.mark("full_step")
        points = _soft_steps(search, points, self.quick_steps)
        search.mark("soft_steps")
        if not search.num_active:
            return
        best = climb(search, points, search.objective, self.steps, "margin", 0.0, 0.5)
        search.mark("apgd")
        aims = num_aims(search)
        for rank in range(min(self.targets, aims) if aims > 1 else 0):
            best = self._again(search, best, generator, self.targeted_steps, rank)
        search.mark("apgd_targeted")
        for _ in range(self.restarts):
            best = self._again(search, best, generator, self.steps, None)
        search.mark("apgd_restarts")
        self._square(search, generator)

    def _again(
        self, search: Search, best: PerImage, generator: torch.Generator, steps: int, rank: int | None
    ) -> Float[Tensor, " left"]:
        """A climb from random points where there is hope; returns the largest margin of each image that is left."""
        near = self._hopeful(search, best)
        part = search.part(near)
        if not part.num_active:
            return best
        objective = part.objective if rank is None else aim(part, rank)
        reached = climb(part, part.random_points(generator), objective, steps, "margin", 0.5, 0.0)
        best, near = search.keep(best, near)
        return best.masked_scatter(near, torch.maximum(best[near], reached))

    def _hopeful(self, search: Search, best: PerImage) -> Bool[Tensor, " batch"]:
        """Which rows came so near the boundary that a further climb may cross it."""
        start = margin(search.clean_scores, search.objective)
        return -best <= self.hope * (best - start)

    def _square(self, search: Search, generator: torch.Generator) -> None:
        if search.num_active:
            Square(queries=self.queries)(search, generator)
            search.keep()
        search.mark("square")
        blind = search.part(search.dead)
        if blind.num_active:
            Square(queries=self.blind_queries)(blind, generator)
            search.keep()
        search.mark("square_blind")


def _full_step(search: Search) -> Tensor:
    """One step from the image as long as eps, up the margin; returns where it led, for the rows that are left."""
    bounds = Bounds.of(search.threat, search.images)
    found = search.evaluate(search.images, margin, gradient=True)
    found = search.evaluate(found.points + bounds.eps * ascent(found.gradient, bounds))
    (points,) = search.keep(found.points)
    return torch.as_tensor(points)


def _soft_steps(search: Search, points: Tensor, steps: int) -> Tensor:
    """Steps in which a pixel moves the less the smaller its gradient is, by at most eps."""
    bounds = Bounds.of(search.threat, search.images)
    for _ in range(steps):
        if not search.num_active:
            break
        found = search.evaluate(points, margin, gradient=True)
        points, gradient = search.keep(found.points, found.gradient)
        points = points + bounds.eps * soft_ascent(gradient, bounds)
    return points
