"""The worst of several segmentation attacks for every image: no single loss is the strongest on every image.

On our U-Nets soft Dice does most damage at every budget, and steps that go into it are worth more than those of any
further loss; so the first loss gets most of them (docs/attacks.md has the figures). Croce, Singh and Hein (ECCV 2024)
give all losses the same.
"""

from typing import Annotated

from pydantic import Field

from medfed.registry import plugin
from robustness.attacks.segmentation.climb import Climber
from robustness.attacks.segmentation.losses import SegmentationLossName


@plugin
class SegmentationWorst(Climber):
    """One climb per loss from one shared random point; the search keeps the worst point of all of them per image.

    Images that meet the criterion leave after the loss that fooled them, so the others cost only what is left; with
    ``stop_when_fooled=False`` every loss sees every image, and the damage is at least that of each climb alone from the
    same start.

    Attributes:
        losses: in the order in which they are tried.
        first: how many times ``steps`` the first loss gets.
    """

    losses: Annotated[tuple[SegmentationLossName, ...], Field(min_length=1)] = ("soft_dice", "cos_pgd")
    first: Annotated[int, Field(ge=1)] = 4

    @property
    def climbs(self) -> tuple[tuple[SegmentationLossName, int], ...]:
        """All of them."""
        return ((self.losses[0], self.first * self.steps), *((loss, self.steps) for loss in self.losses[1:]))
