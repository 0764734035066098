"""Overlap of class maps, per image and class.

The rule for empty masks: where neither truth nor prediction shows a class, both measures are 1; where only one of
them does, both are 0 (the formulas say so by themselves). So they are defined for every image.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

ClassMaps = Int[Tensor, "batch height width"]


def dice(predicted: ClassMaps, truth: ClassMaps, num_classes: int) -> Float[Tensor, "batch class"]:
    """2 |P and T| / (|P| + |T|) per image and class, background included (Dice, Ecology 1945)."""
    both, either = _areas(predicted, truth, num_classes)
    return torch.where(either + both > 0, 2.0 * both / (either + both), 1.0)


def iou(predicted: ClassMaps, truth: ClassMaps, num_classes: int) -> Float[Tensor, "batch class"]:
    """|P and T| / |P or T| per image and class, background included (Jaccard 1912)."""
    both, either = _areas(predicted, truth, num_classes)
    return torch.where(either > 0, both / either, 1.0)


def foreground_mean(per_class: Float[Tensor, "batch class"]) -> Float[Tensor, " batch"]:
    """The mean over all classes but the first, the background."""
    return per_class[:, 1:].mean(dim=1)


def _areas(predicted: ClassMaps, truth: ClassMaps, num_classes: int) -> tuple[Tensor, Tensor]:
    """Pixels in both, and in either, per image and class."""
    pixels = (-2, -1)
    pairs = [(predicted == label, truth == label) for label in range(num_classes)]
    both = torch.stack([torch.sum(p & t, dim=pixels) for p, t in pairs], dim=1).double()
    either = torch.stack([torch.sum(p | t, dim=pixels) for p, t in pairs], dim=1).double()
    return both, either
