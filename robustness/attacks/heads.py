"""Heads: how a model's output is read, brought to one form that every loss, criterion and attack shares.

``scores`` has the shape (batch, choice, unit): a unit is one decision (the image, a finding, a pixel), a choice is
what can be decided there, and the decision is the choice with the highest score. A sigmoid output z becomes the two
scores (-z/2, z/2), whose softmax is (1 - sigmoid(z), sigmoid(z)) and whose margin is z.
"""

from typing import Annotated, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from medfed.registry import plugin
from medfed.types import Task
from robustness.attacks.head_checks import class_index, expect_shape, indices

Decisions = Int[Tensor, "batch unit"]


@runtime_checkable
class Head(Protocol):
    """How to read the output of a model and the labels that go with it.

    Attributes:
        dense: one decision per pixel or voxel.
        groups: into how many equal runs the units fall (findings of a dense multi-label head), else 1.
    """

    dense: ClassVar[bool]

    @property
    def groups(self) -> int:
        """Number of runs of units that are scored apart."""
        ...

    def scores(self, output: Tensor) -> Float[Tensor, "batch choice unit"]:
        """The model's output as scores; differentiable.

        Raises:
            HeadError: the output has not the head's shape.
        """
        ...

    def choices(self, labels: Tensor, images: Tensor) -> Decisions:
        """The true choice of every unit; unknown ones stay -1.

        Raises:
            HeadError: the labels have not the head's shape or values.
        """
        ...

    def finding(self, target: int | None, units: Decisions) -> tuple[int, Bool[Tensor, "batch unit"]]:
        """The choice that means "finding ``target`` is there", and the units that decide it.

        Raises:
            HeadError: there is no such finding, or the head needs to be told which.
        """
        ...


@plugin
class SoftmaxHead:
    """Output (batch, class); labels (batch,) class indices."""

    dense: ClassVar[bool] = False
    num_classes: Annotated[int, Field(ge=2)]

    @property
    def groups(self) -> int:
        """One."""
        return 1

    def scores(self, output: Tensor) -> Float[Tensor, "batch choice unit"]:
        """One unit, a choice per class."""
        expect_shape(output.ndim == 2 and output.shape[1] == self.num_classes, self, "output", output)
        return output[:, :, None]

    def choices(self, labels: Tensor, images: Tensor) -> Decisions:
        """Class indices, as one column."""
        labels = labels.squeeze(1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
        expect_shape(labels.shape == images.shape[:1], self, "labels", labels)
        return indices(labels, self.num_classes, self)[:, None]

    def finding(self, target: int | None, units: Decisions) -> tuple[int, Bool[Tensor, "batch unit"]]:
        """The class itself."""
        return class_index(target, self.num_classes, self), torch.ones_like(units, dtype=torch.bool)


@plugin
class SigmoidHead:
    """One logit: output (batch, 1) or (batch,); labels (batch,) or (batch, 1), 0 or 1 of any dtype."""

    dense: ClassVar[bool] = False

    @property
    def groups(self) -> int:
        """One."""
        return 1

    def scores(self, output: Tensor) -> Float[Tensor, "batch choice unit"]:
        """One unit, two choices."""
        expect_shape(output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1), self, "output", output)
        return _two_sided(output.reshape(-1, 1))

    def choices(self, labels: Tensor, images: Tensor) -> Decisions:
        """0 or 1, as one column."""
        expect_shape(labels.numel() == len(images) and labels.ndim <= 2, self, "labels", labels)
        return indices(labels.reshape(-1, 1), 2, self)

    def finding(self, target: int | None, units: Decisions) -> tuple[int, Bool[Tensor, "batch unit"]]:
        """Choice 1, or 0 where it is asked for."""
        return class_index(1 if target is None else target, 2, self), torch.ones_like(units, dtype=torch.bool)


@plugin
class MultiLabelHead:
    """One logit per finding: output (batch, finding); labels (batch, finding), 0, 1 or -1 for unknown."""

    dense: ClassVar[bool] = False
    num_findings: Annotated[int, Field(ge=1)]

    @property
    def groups(self) -> int:
        """One."""
        return 1

    def scores(self, output: Tensor) -> Float[Tensor, "batch choice unit"]:
        """A unit per finding, two choices."""
        expect_shape(output.ndim == 2 and output.shape[1] == self.num_findings, self, "output", output)
        return _two_sided(output)

    def choices(self, labels: Tensor, images: Tensor) -> Decisions:
        """0 or 1 per finding."""
        expect_shape(labels.shape == (len(images), self.num_findings), self, "labels", labels)
        return indices(labels, 2, self)

    def finding(self, target: int | None, units: Decisions) -> tuple[int, Bool[Tensor, "batch unit"]]:
        """Choice 1 of one finding, or of all."""
        return 1, _columns(target, self.num_findings, self, units)


@plugin
class DenseSoftmaxHead:
    """Segmentation, output (batch, class, *space); labels (batch, *space) or (batch, 1, *space) class maps."""

    dense: ClassVar[bool] = True
    num_classes: Annotated[int, Field(ge=2)]

    @property
    def groups(self) -> int:
        """One."""
        return 1

    def scores(self, output: Tensor) -> Float[Tensor, "batch choice unit"]:
        """A unit per pixel, a choice per class."""
        expect_shape(output.ndim >= 4 and output.shape[1] == self.num_classes, self, "output", output)
        return output.flatten(2)

    def choices(self, labels: Tensor, images: Tensor) -> Decisions:
        """Class indices, all pixels in one row."""
        expect_shape(_is_map(labels, images, 1), self, "labels", labels)
        return indices(labels.flatten(1), self.num_classes, self)

    def finding(self, target: int | None, units: Decisions) -> tuple[int, Bool[Tensor, "batch unit"]]:
        """The class itself; class 0 is the background."""
        return class_index(target, self.num_classes, self), torch.ones_like(units, dtype=torch.bool)


@plugin
class DenseSigmoidHead:
    """Segmentation, output (batch, finding, *space); labels of the same shape, or (batch, *space) for one finding."""

    dense: ClassVar[bool] = True
    num_findings: Annotated[int, Field(ge=1)] = 1

    @property
    def groups(self) -> int:
        """One run of pixels per finding."""
        return self.num_findings

    def scores(self, output: Tensor) -> Float[Tensor, "batch choice unit"]:
        """A unit per pixel and finding, two choices."""
        expect_shape(output.ndim >= 4 and output.shape[1] == self.num_findings, self, "output", output)
        return _two_sided(output.flatten(1))

    def choices(self, labels: Tensor, images: Tensor) -> Decisions:
        """0 or 1 per pixel, finding by finding."""
        expect_shape(_is_map(labels, images, self.num_findings), self, "labels", labels)
        return indices(labels.flatten(1), 2, self)

    def finding(self, target: int | None, units: Decisions) -> tuple[int, Bool[Tensor, "batch unit"]]:
        """Choice 1 in the pixels of one finding, or of all."""
        columns = torch.arange(self.num_findings, device=units.device).repeat_interleave(
            units.shape[1] // self.num_findings
        )
        if target is None:
            return 1, torch.ones_like(units, dtype=torch.bool)
        return 1, (columns == class_index(target, self.num_findings, self)).expand_as(units)


def head_for(task: Task) -> Head:
    """The head of a model of this project's own zoo."""
    if task.kind == "segmentation":
        return DenseSigmoidHead() if task.head == "sigmoid" else DenseSoftmaxHead(num_classes=task.num_classes)
    return SigmoidHead() if task.head == "sigmoid" else SoftmaxHead(num_classes=task.num_classes)


def decisions(scores: Float[Tensor, "batch choice unit"]) -> Decisions:
    """The choice with the highest score; of equal ones the first."""
    return scores.max(dim=1).indices  # over pixels a tenth of the time of argmax


def boundary(choices: Decisions, space: tuple[int, ...], groups: int, width: int = 3) -> Bool[Tensor, "batch unit"]:
    """Which pixels lie within ``width`` pixels (in the maximum norm) of a pixel of another class.

    Args:
        choices: true class per unit of a dense head.
        space: height and width, or depth, height and width.
        groups: the head's groups.
        width: in pixels.
    """
    maps = choices.reshape(len(choices) * groups, 1, *space).to(torch.float32)
    pool = functional.max_pool3d if len(space) == 3 else functional.max_pool2d
    size = 2 * width + 1
    mixed: Tensor = pool(maps, size, 1, width) != -pool(-maps, size, 1, width)
    return mixed.reshape(choices.shape)


def _two_sided(logits: Float[Tensor, "batch unit"]) -> Float[Tensor, "batch choice unit"]:
    return torch.stack([-logits / 2, logits / 2], dim=1)


def _is_map(labels: Tensor, images: Tensor, channels: int) -> bool:
    """(batch, channels, *space), or (batch, *space) for one channel."""
    batch, space = images.shape[:1], images.shape[2:]
    return labels.shape == (*batch, channels, *space) or (channels == 1 and labels.shape == batch + space)


def _columns(target: int | None, number: int, head: object, units: Decisions) -> Bool[Tensor, "batch unit"]:
    if target is None:
        return torch.ones_like(units, dtype=torch.bool)
    return (torch.arange(number, device=units.device) == class_index(target, number, head)).expand_as(units)
