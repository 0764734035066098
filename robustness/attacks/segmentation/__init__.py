"""Attacks on segmentation models: one loss per attack, and the worst of several."""

from robustness.attacks.segmentation.cos_pgd import CosPGD
from robustness.attacks.segmentation.pgd import SegmentationPGD
from robustness.attacks.segmentation.seg_pgd import SegPGD
from robustness.attacks.segmentation.worst_of import SegmentationWorst

__all__ = ["CosPGD", "SegPGD", "SegmentationPGD", "SegmentationWorst"]
