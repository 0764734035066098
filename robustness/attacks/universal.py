"""One perturbation for all images (Moosavi-Dezfooli et al., CVPR 2017), by the sign of the mean gradient.

The climb is that of Shafahi et al., "Universal adversarial training" (AAAI 2020), section 3: the loss is cut off, so
that images already fooled do not outweigh the others.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from robustness.attacks.contract import Scores, Search
from robustness.attacks.losses import margin
from robustness.attacks.objective import Objective
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import Share, Steps, ascent
from robustness.attacks.threat import Norm

_CUT = 1.0
"""Margin, in scaled scores (mean spread 10), beyond which an image no longer counts."""


def cut_margin(scores: Scores, objective: Objective) -> Float[Tensor, " batch"]:
    """The margin, at most :data:`_CUT`."""
    return margin(scores, objective).clamp(max=_CUT)


@plugin
class Universal:
    """The same change for every image of the set; only the range clips it image by image.

    Success says how many images of this very set the change fools, not how many others it would.

    Attributes:
        steps: gradients over the whole set.
        step: length of a step as a share of eps.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = True

    steps: Steps = 50
    step: Share = 0.1

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Climb on the mean, keep the change that fools most, record it alone."""
        bounds = Bounds.of(search.threat, search.images)
        zero = torch.zeros_like(search.images[:1])
        change = best = zero
        most = -1.0
        for done in range(self.steps + 1):
            found = search.evaluate(search.images + change, cut_margin, gradient=True, record=False)
            reached = float((found.loss > 0).sum()) + float(found.loss.mean()) * 1e-3
            if reached > most:
                most, best = reached, change
            change = change + self.step * bounds.eps * ascent(found.gradient.mean(dim=0, keepdim=True), bounds)
            change = _within(change, bounds)
            search.report(done / (self.steps + 1))
        search.evaluate(search.images + best)


def _within(change: Tensor, bounds: Bounds) -> Tensor:
    if bounds.norm == "linf":
        return torch.minimum(torch.maximum(change, -bounds.step), bounds.step)
    length = (change * bounds.per_unit).norm().clamp(min=1e-30)
    shorter: Tensor = change * (bounds.eps / length).clamp(max=1.0)
    return shorter
