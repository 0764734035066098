"""The fast gradient sign method: one step as long as eps (Goodfellow et al., ICLR 2015)."""

from typing import ClassVar

import torch

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.losses import LOSSES, LossName
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import ascent
from robustness.attacks.threat import Norm


@plugin
class FGSM:
    """``x + eps sign(gradient)``; with l2 the normalised gradient (FGM).

    Exact on a linear model up to the range, a weak attack on others.

    Attributes:
        loss: what is made larger.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    loss: LossName = "cross_entropy"

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """One gradient, one step."""
        bounds = Bounds.of(search.threat, search.images)
        found = search.evaluate(search.images, LOSSES[self.loss], gradient=True)
        search.evaluate(found.points + bounds.eps * ascent(found.gradient, bounds))
