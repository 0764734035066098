"""Random noise as large as an attack: what every attack must beat."""

from typing import ClassVar

import torch

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import Steps, ascent
from robustness.attacks.threat import Norm


@plugin
class Noise:
    """Random points on the surface of the ball; for l0 new values at random positions.

    Attributes:
        draws: points per image.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2", "l0")
    needs_gradient: ClassVar[bool] = False
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    draws: Steps = 10

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """One point after another."""
        for _ in range(self.draws):
            if not search.num_active:
                return
            points = search.random_points(generator)
            if search.threat.norm != "l0":
                bounds = Bounds.of(search.threat, search.images)
                points = search.images + bounds.eps * ascent(points - search.images, bounds)
            search.evaluate(points)
            search.keep()
