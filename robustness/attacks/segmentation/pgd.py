"""PGD over pixels with a loss that weighs no pixel by the step: cross-entropy, soft Dice or the masked margin."""

from typing import Literal

from medfed.registry import plugin
from robustness.attacks.segmentation.climb import Climber
from robustness.attacks.segmentation.losses import SegmentationLossName


@plugin
class SegmentationPGD(Climber):
    """Steps up the gradient of one loss from a random point (Madry et al., ICLR 2018), shrinking along a cosine.

    Attributes:
        loss: ``cross_entropy`` (binary for a sigmoid head), ``soft_dice`` or ``masked_margin``.
    """

    loss: Literal["cross_entropy", "soft_dice", "masked_margin"] = "soft_dice"

    @property
    def climbs(self) -> tuple[tuple[SegmentationLossName, int], ...]:
        """The one loss."""
        return ((self.loss, self.steps),)
