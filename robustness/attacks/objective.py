"""What every image of a search is to be driven to, unit by unit: a tensor form of goal, target and labels."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robustness.attacks.threat import Goal

ANY = -1
"""In ``targets``: any choice but the label."""

Pool = Literal["max", "mean"]


@dataclass(frozen=True, eq=False)
class Objective:
    """One row per image, one column per unit (a unit is one decision of the head: an image, a finding, a pixel).

    Attributes:
        labels: the true choice.
        targets: the choice to reach, or :data:`ANY` for any but the label.
        active: the units that count; an image without any is not attacked.
        scale: by what the scores of each image are divided before a loss sees them.
        pool: how the units of an image become one loss: its easiest unit, or the mean.
        groups: into how many equal runs the units fall (findings of a dense multi-label head).
        goal: the one that targets and active units come from.
    """

    labels: Int[Tensor, "batch unit"]
    targets: Int[Tensor, "batch unit"]
    active: Bool[Tensor, "batch unit"]
    scale: Float[Tensor, " batch"]
    pool: Pool = "mean"
    groups: int = 1
    goal: Goal = "untargeted"

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice) -> "Objective":
        """The objective of some rows, chosen by a mask, indices or a slice."""
        return replace(
            self,
            labels=self.labels[rows],
            targets=self.targets[rows],
            active=self.active[rows],
            scale=self.scale[rows],
        )

    def towards(self, choice: Int[Tensor, " batch"]) -> "Objective":
        """The same images, each driven to one choice in all its units; labels that are that choice stay ANY."""
        targets = choice[:, None].expand_as(self.labels)
        return replace(self, targets=torch.where(targets == self.labels, ANY, targets))

    def reached(self, decisions: Int[Tensor, "batch unit"]) -> Bool[Tensor, "batch unit"]:
        """Which active units are decided as the objective wants."""
        wrong = (self.targets == ANY) & (decisions != self.labels)
        return self.active & (wrong | (decisions == self.targets))

    def pooled(self, values: Float[Tensor, "batch unit"]) -> Float[Tensor, " batch"]:
        """One value per image, from its active units."""
        if self.pool == "max":
            return values.masked_fill(~self.active, -torch.inf).amax(dim=1)
        return values.masked_fill(~self.active, 0.0).sum(dim=1) / self.active.sum(dim=1).clamp(min=1)
