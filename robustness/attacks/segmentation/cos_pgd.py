"""CosPGD: a pixel counts by how near its prediction is to its label (Agnihotri, Jung and Keuper, ICML 2024)."""

from medfed.registry import plugin
from robustness.attacks.segmentation.climb import Climber
from robustness.attacks.segmentation.losses import SegmentationLossName


@plugin
class CosPGD(Climber):
    """Steps up the loss of the paper from a random point (the paper's are equally long), shrinking along a cosine."""

    @property
    def climbs(self) -> tuple[tuple[SegmentationLossName, int], ...]:
        """The one loss."""
        return (("cos_pgd", self.steps),)
