"""The worst of several segmentation attacks for every image: no single loss is the strongest at every budget."""

from typing import Annotated

from pydantic import Field

from medfed.registry import plugin
from robustness.attacks.segmentation.climb import Climber
from robustness.attacks.segmentation.losses import SegmentationLossName


@plugin
class SegmentationWorst(Climber):
    """One climb per loss from one shared random point; the search keeps the worst point of all of them per image.

    Images that meet the criterion leave after the loss that fooled them, so the others cost only what is left; with
    ``stop_when_fooled=False`` every loss sees every image, and the damage is at least that of each loss alone from the
    same start.

    Attributes:
        losses: in the order in which they are tried, by default the strongest on our U-Nets first.
    """

    losses: Annotated[tuple[SegmentationLossName, ...], Field(min_length=1)] = (
        "soft_dice",
        "cos_pgd",
        "seg_pgd",
        "masked_margin",
        "cross_entropy",
    )

    @property
    def tried(self) -> tuple[SegmentationLossName, ...]:
        """All of them."""
        return self.losses
