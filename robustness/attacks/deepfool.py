"""DeepFool: step to the nearest linearised boundary until it is crossed (Moosavi-Dezfooli et al., CVPR 2016)."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.hyperplane import nearest_boundary, onto
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import Steps
from robustness.attacks.threat import Norm


@plugin
class DeepFool:
    """A quick estimate of the least change; the step itself keeps to the range, which the paper leaves out.

    Attributes:
        steps: linearisations.
        targets: the most other classes, or findings, looked at per step.
        overshoot: by which the change is prolonged to cross the boundary.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("l2", "linf")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = True
    whole_set: ClassVar[bool] = False

    steps: Steps = 50
    targets: Steps = 9
    overshoot: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.02

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Linearise, step, and try the point a little beyond."""
        bounds = Bounds.of(search.threat, search.images)
        points = search.images
        for done in range(self.steps):
            near = nearest_boundary(search, points, bounds, self.targets)
            points = near.points + onto(near.points, near.slope, 1e-6 - near.margin, bounds)
            beyond = search.images + (1 + self.overshoot) * (points - search.images)
            search.evaluate(beyond)
            (points,) = search.keep(points)
            if not search.num_active:
                return
            search.report((done + 1) / self.steps)
