"""SegPGD: pixels that are won count the less, the earlier the step (Gu, Zhao, Tresp and Torr, ECCV 2022)."""

from medfed.registry import plugin
from robustness.attacks.segmentation.climb import Climber
from robustness.attacks.segmentation.losses import SegmentationLossName


@plugin
class SegPGD(Climber):
    """Steps up the loss of the paper from a random point (the paper's are equally long), shrinking along a cosine.

    A pixel (voxel, finding) is won where it is decided as the goal wants. On a single decision per image it is PGD.
    """

    @property
    def climbs(self) -> tuple[tuple[SegmentationLossName, int], ...]:
        """The one loss."""
        return (("seg_pgd", self.steps),)
