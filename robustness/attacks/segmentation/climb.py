"""What all segmentation attacks share: climbs from one random point, in steps that shrink along a cosine."""

import math
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.projection import Bounds
from robustness.attacks.segmentation.losses import SEGMENTATION_LOSSES, SegmentationLoss, SegmentationLossName
from robustness.attacks.steps import Share, Steps, ascent
from robustness.attacks.threat import Norm

Images = Float[Tensor, "batch channel *space"]


@plugin
class Climber:
    """One climb for each of ``climbs``, all from one random point; the search keeps the worst point per image.

    Attributes:
        steps: gradients of a climb.
        step: the first step as a share of eps.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    steps: Steps = 40
    step: Share = 1.0

    @property
    def climbs(self) -> tuple[tuple[SegmentationLossName, int], ...]:
        """Losses in the order in which they are climbed, and the gradients of each."""
        raise NotImplementedError

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Climb with one loss after the other."""
        start, total, done = search.random_points(generator), sum(steps for _, steps in self.climbs), 0
        for name, steps in self.climbs:
            if not search.num_active:
                return
            loss = SEGMENTATION_LOSSES[name]
            start = climb(search, start, loss, steps, self.step, done=done / total, share=steps / total)
            done += steps


def climb(
    search: Search, start: Images, loss: SegmentationLoss, steps: int, step: float, *, done: float, share: float
) -> Float[Tensor, "left channel *space"]:
    """Projected gradient steps from ``start``; the search keeps the worst point on the way.

    Step t of T (from 0) is ``step * eps * (1 + cos(pi t / T)) / 2`` long: a loss whose weights change on the way gives
    no rising values by which Auto-PGD could tell when to halve.

    Args:
        search: the rows.
        start: one point per row.
        loss: what is made larger; it is told the share of the steps done.
        steps: gradients taken.
        step: the first step as a share of eps.
        done: share of the attack done before, for progress.
        share: of the attack that this climb is.

    Returns:
        ``start`` of the rows that are left.
    """
    bounds = Bounds.of(search.threat, search.images)
    points = start
    for count in range(steps):
        found = search.evaluate(points, partial(loss, share=count / steps), gradient=True)
        points, gradient, start = search.keep(found.points, found.gradient, start)
        if not search.num_active:
            return start
        length = step * bounds.eps * (1 + math.cos(math.pi * count / steps)) / 2
        points = points + length * ascent(gradient, bounds)
        search.report(done + share * (count + 1) / steps)
    search.evaluate(points)
    (start,) = search.keep(start)
    return start
