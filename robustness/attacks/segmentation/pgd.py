"""PGD over pixels with a loss that weighs no pixel by the step: cross-entropy, soft Dice or the masked margin."""

from typing import ClassVar, Literal

import torch

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.segmentation.climb import climb
from robustness.attacks.segmentation.losses import SEGMENTATION_LOSSES
from robustness.attacks.steps import Share, Steps
from robustness.attacks.threat import Norm


@plugin
class SegmentationPGD:
    """Steps up the gradient of one loss from a random point (Madry et al., ICLR 2018), shrinking along a cosine.

    Attributes:
        steps: gradients taken.
        step: the first step as a share of eps.
        loss: ``cross_entropy`` (binary for a sigmoid head), ``soft_dice`` or ``masked_margin``.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    steps: Steps = 40
    step: Share = 1.0
    loss: Literal["cross_entropy", "soft_dice", "masked_margin"] = "soft_dice"

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """One climb."""
        loss, start = SEGMENTATION_LOSSES[self.loss], search.random_points(generator)
        climb(search, start, loss, self.steps, self.step, done=0.0, share=1.0)
