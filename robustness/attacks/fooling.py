"""A confident prediction from nothing: images made from noise (Nguyen et al., CVPR 2015).

Run it with ``ThreatModel(eps=inf, goal="targeted", target=...)``, the criterion ``Confident`` and any images for the
shape: the search starts from noise and pays no heed to them.
"""

import math
from typing import ClassVar

import torch

from medfed.registry import plugin
from robustness.attacks.contract import AttackError, Search
from robustness.attacks.losses import LOSSES, LossName
from robustness.attacks.projection import Bounds, random_points
from robustness.attacks.steps import Share, Steps
from robustness.attacks.threat import Norm


@plugin
class Fooling:
    """Sign steps from uniform noise, anywhere in the range.

    Attributes:
        steps: gradients taken.
        step: length of a step as a share of the range; it falls linearly to nothing.
        loss: what is made larger.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = True
    whole_set: ClassVar[bool] = False

    steps: Steps = 100
    step: Share = 0.02
    loss: LossName = "margin"

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Climb from noise; the last point counts too.

        Raises:
            AttackError: eps is finite; no point near an image is looked for.
        """
        if math.isfinite(search.threat.eps):
            raise AttackError(
                f'attack "fooling": expected an infinite eps, as it starts from noise; got {search.threat.eps:g}; near '
                "an image use pgd"
            )
        bounds = Bounds.of(search.threat, search.images)
        points = random_points(search.images, bounds, generator)
        for done in range(self.steps):
            found = search.evaluate(points, LOSSES[self.loss], gradient=True)
            points, gradient = search.keep(found.points, found.gradient)
            if not search.num_active:
                return
            length = self.step * (1 - done / self.steps)
            points = points + length * (bounds.high - bounds.low) * gradient.sign()
            search.report((done + 1) / self.steps)
        search.evaluate(points)
