"""The attack of an audit: cheap attacks first, strong ones on what survives.

The order follows what each stage costs and what it still finds: a few steps of PGD take nearly all images of an
undefended model; Auto-PGD with the margin, then aimed at every other class or finding, takes what an adversarially
trained one gives away; Square needs no gradient and runs at length only where gradients are dead.
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from medfed.registry import plugin
from robustness.attacks.aims import num_aims
from robustness.attacks.apgd import APGD
from robustness.attacks.contract import Attack, Search
from robustness.attacks.pgd import PGD
from robustness.attacks.square import Square
from robustness.attacks.steps import Steps
from robustness.attacks.threat import Norm


@plugin
class Ensemble:
    """PGD, then Auto-PGD (margin, targeted, DLR) with restarts, then Square.

    Attributes:
        quick_steps: of the PGD that comes first.
        steps: of each climb of Auto-PGD.
        restarts: rounds of Auto-PGD, each from new random points.
        targets: the most other classes, or findings, that are aimed at one by one.
        queries: of Square where every gradient stage ended on live gradients.
        blind_queries: of Square on the images where a gradient was exactly zero.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    quick_steps: Steps = 10
    steps: Steps = 100
    restarts: Annotated[int, Field(ge=1)] = 2
    targets: Annotated[int, Field(ge=1)] = 9
    queries: Steps = 100
    blind_queries: Steps = 5000

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Stage after stage, until no image is left."""
        for name, stage in self.stages(num_aims(search)):
            if search.num_active:
                stage(search, generator)
                search.keep()
            search.mark(name)
        blind = search.part(search.dead)
        if blind.num_active:
            Square(queries=self.blind_queries)(blind, generator)
            search.keep()
        search.mark("square_blind")

    def stages(self, aims: int) -> tuple[tuple[str, Attack], ...]:
        """The stages in order, where there are ``aims`` ways to be fooled.

        With a single one, cross-entropy and a target point where the margin points already.
        """
        found: list[tuple[str, Attack]] = [("pgd", PGD(steps=self.quick_steps))]
        for restart in range(1, self.restarts + 1):
            found.append((f"apgd_margin_{restart}", APGD(steps=self.steps, loss="margin")))
            if aims > 1:
                targeted = APGD(steps=self.steps, loss="margin", targets=self.targets)
                found += [
                    (f"apgd_targeted_{restart}", targeted),
                    (f"apgd_dlr_{restart}", APGD(steps=self.steps, loss="dlr")),
                ]
        return (*found, ("square", Square(queries=self.queries)))
