"""CosPGD: a pixel counts by how near its prediction is to its label (Agnihotri, Jung and Keuper, ICML 2024)."""

from typing import ClassVar

from medfed.registry import plugin
from robustness.attacks.segmentation.climb import Climber
from robustness.attacks.segmentation.losses import SegmentationLossName


@plugin
class CosPGD(Climber):
    """Steps up the loss of the paper from a random point (the paper's are equally long), shrinking along a cosine."""

    tried: ClassVar[tuple[SegmentationLossName, ...]] = ("cos_pgd",)
