"""SegPGD: pixels that are won count the less, the earlier the step (Gu, Zhao, Tresp and Torr, ECCV 2022)."""

from typing import ClassVar

import torch

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.segmentation.climb import climb
from robustness.attacks.segmentation.losses import seg_pgd
from robustness.attacks.steps import Share, Steps
from robustness.attacks.threat import Norm


@plugin
class SegPGD:
    """Steps up the loss of the paper from a random point (the paper's are equally long), shrinking along a cosine.

    A pixel (voxel, finding) is won where it is decided as the goal wants. On a single decision per image it is PGD.

    Attributes:
        steps: gradients taken.
        step: the first step as a share of eps.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    steps: Steps = 40
    step: Share = 1.0

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """One climb."""
        climb(search, search.random_points(generator), seg_pgd, self.steps, self.step, done=0.0, share=1.0)
