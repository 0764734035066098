"""The worst of several segmentation attacks for every image: no single loss is the strongest at every budget."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.segmentation.climb import climb
from robustness.attacks.segmentation.losses import SEGMENTATION_LOSSES, SegmentationLossName
from robustness.attacks.steps import Share, Steps
from robustness.attacks.threat import Norm


@plugin
class SegmentationWorst:
    """One climb per loss from one shared random point; the search keeps the worst point of all of them per image.

    Images that meet the criterion leave after the loss that fooled them, so the others cost only what is left; with
    ``stop_when_fooled=False`` every loss sees every image, and the damage is at least that of each loss alone from the
    same start.

    Attributes:
        steps: gradients per loss.
        step: the first step as a share of eps.
        losses: in the order in which they are tried, by default the strongest on our U-Nets first.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    steps: Steps = 40
    step: Share = 1.0
    losses: Annotated[tuple[SegmentationLossName, ...], Field(min_length=1)] = (
        "soft_dice",
        "cos_pgd",
        "seg_pgd",
        "masked_margin",
        "cross_entropy",
    )

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Climb with one loss after the other."""
        start, share = search.random_points(generator), 1 / len(self.losses)
        for rank, name in enumerate(self.losses):
            if not search.num_active:
                return
            loss = SEGMENTATION_LOSSES[name]
            start = climb(search, start, loss, self.steps, self.step, done=rank * share, share=share)
