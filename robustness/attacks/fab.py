"""FAB: fast adaptive boundary attack, the least change that fools (Croce and Hein, ICML 2020, algorithm 1)."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.hyperplane import nearest_boundary, onto
from robustness.attacks.projection import Bounds, distance
from robustness.attacks.steps import Steps, wide
from robustness.attacks.threat import Norm

_ETA = 1.05
"""Extrapolation beyond the boundary."""


@plugin
class FAB:
    """Project point and image on the nearest linearised boundary, mix, and go back towards the image when fooled.

    It starts at the image: from a random point it may settle on a boundary that is not the nearest. The projection is
    that of hyperplane.py.

    Attributes:
        steps: linearisations.
        targets: the most other classes, or findings, looked at per step.
        bias: the largest weight of the original image in the mix (alpha_max).
        back: how far to go back towards the image (beta).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = True
    whole_set: ClassVar[bool] = False

    steps: Steps = 100
    targets: Steps = 9
    bias: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    back: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Walk along the boundary."""
        bounds = Bounds.of(search.threat, search.images)
        points = search.images
        for done in range(self.steps):
            near = nearest_boundary(search, points, bounds, self.targets)
            here = onto(near.points, near.slope, -near.margin, bounds)
            ahead = near.margin + (near.slope * (search.images - near.points)).flatten(1).sum(dim=1)
            there = onto(search.images, near.slope, -ahead, bounds)
            zero = torch.zeros_like(here)
            length, other = distance(here, zero, bounds), distance(there, zero, bounds)
            mix = wide((length / (length + other).clamp(min=1e-12)).clamp(max=self.bias), here)
            points = search.project((1 - mix) * (near.points + _ETA * here) + mix * (search.images + _ETA * there))
            found = search.evaluate(points)
            crossed = self._crossed(search, found.scores)
            points = torch.where(
                wide(crossed, points), search.images + self.back * (found.points - search.images), found.points
            )
            (points,) = search.keep(points)
            if not search.num_active:
                return
            search.report((done + 1) / self.steps)

    @staticmethod
    def _crossed(search: Search, scores: torch.Tensor) -> torch.Tensor:
        """Which points lie beyond a boundary."""
        reached: torch.Tensor = search.objective.reached(scores.max(dim=1).indices).any(dim=1)
        return reached
