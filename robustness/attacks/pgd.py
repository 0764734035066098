"""Projected gradient descent, and its forms without a random start (BIM) and with one step (FGSM)."""

from typing import ClassVar

import torch

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.losses import LOSSES, LossName
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import Share, Steps, ascent
from robustness.attacks.threat import Norm


@plugin
class PGD:
    """Steps up the gradient from a random point of the ball (Madry et al., ICLR 2018).

    With ``random_start = False`` it is BIM (Kurakin et al., 2017).

    Attributes:
        steps: gradients taken.
        step: length of a step as a share of eps.
        loss: what is made larger.
        random_start: start at a random point, else at the image.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    steps: Steps = 10
    step: Share = 0.25
    loss: LossName = "margin"
    random_start: bool = True

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Climb; the last point counts too."""
        bounds = Bounds.of(search.threat, search.images)
        points = search.random_points(generator) if self.random_start else search.images
        for done in range(self.steps):
            found = search.evaluate(points, LOSSES[self.loss], gradient=True)
            points, gradient = search.keep(found.points, found.gradient)
            if not search.num_active:
                return
            points = points + self.step * bounds.eps * ascent(gradient, bounds)
            search.report((done + 1) / self.steps)
        search.evaluate(points)
