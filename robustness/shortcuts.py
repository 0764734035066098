"""The audit section on shortcuts: does the model read marks in the corners of an image?

Films carry letters, arrows and scanner names there, and hospitals that treat the sick put others than those that screen
(Zech et al. 2018, PLOS Medicine 15:e1002683; DeGrave, Janizek and Lee 2021, Nature Machine Intelligence 3:610). The
test is an exchange: an image gets the corners of another of another class. A model that reads what lies between them
answers as before. To tell the seam from the content, the same is done with the corners of an image of its own class.
"""

import math
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from medfed.audit.contract import AuditContext, NotTestedError, TestImages
from medfed.audit.results import Finding, PositiveControl, Sample, SectionResult, Table, share
from medfed.registry import plugin
from medfed.results import Estimate
from medfed.training.evaluation import predict_batch
from medfed.types import Task

Share = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
Images = Float[Tensor, "batch channel height width"]
Labels = Int[Tensor, " batch"]
Rows = Bool[Tensor, " batch"]

_CONTROL_TURNED = 0.95
_Z = 1.959964  # of 95 %


@plugin
class Shortcuts:
    """Exchange the corners of test images, and count the answers that turn.

    Attributes:
        corner: side of the square in each corner, as a share of the image's side.
        max_turned: share of right answers that corners of another class may turn beyond what those of its own do.
        images: most test images, one of a patient.
    """

    title: ClassVar[str] = "Right for the wrong reason"

    corner: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.2
    max_turned: Share = 0.1
    images: Annotated[int, Field(ge=2)] = 256

    def __call__(self, context: AuditContext) -> SectionResult:
        """Exchange, beside marks that the audit planted and a model that reads nothing else."""
        if context.task.kind != "classification":
            raise NotTestedError("needs one answer for an image; what an outline rests on takes another test")
        tests = context.draw_tests(self.images, "shortcuts")
        outcome = self._exchange(context, context.model, tests.images, tests.labels)
        right = int(outcome.right.sum())
        if right == 0:
            raise NotTestedError("the model reads no test image rightly that has others of its class and of another")
        finding = Finding(
            what="Share of right answers that corners of another class turn, minus what corners of its own class turn",
            estimate=_difference(outcome),
            threshold=self.max_turned,
            direction="at_most",
            kind="mean",
        )
        return SectionResult(
            tried=f"The four corners of {right} test images that the model reads rightly, {100 * self.corner:g} % of "
            "the side each, were exchanged for those of an image of another class.",
            meaning="Where the answer turns, it hung on what stands in the corners: a letter, a scanner's mark, the "
            "edge of the field. Where such a mark is missing, or stands on the wrong image, the model will err.",
            remedy="Look at the images whose answer turned (samples.csv). Cover or crop the corners, and train again; "
            "where disease itself reaches the corners, set shortcuts.corner lower.",
            findings=(finding,),
            positive_control=self._control(context, tests),
            tables=(_table(outcome),),
            not_tested=(
                "marks elsewhere in the image, and shortcuts that are no mark: the noise of a scanner, the position of "
                "the patient, age and sex",
            ),
            samples=tuple(_samples(tests, outcome)),
        )

    def _exchange(self, context: AuditContext, model: nn.Module, images: Images, labels: Labels) -> "_Outcome":
        """Answers before and after, each image with the corners of two others that the seed draws."""
        generator = context.numpy_generator("shortcuts", "partners")
        other, own = partners(labels, generator)
        before = predict_batch(model, images, context.task).argmax(dim=1)
        right = (before == labels) & (other >= 0) & (own >= 0)

        def turned(partner: Labels) -> Rows:
            found = predict_batch(model, exchanged(images, images[partner.clamp(min=0)], self.corner), context.task)
            return right & (found.argmax(dim=1) != before)

        return _Outcome(right, turned(other), turned(own))

    def _control(self, context: AuditContext, tests: TestImages) -> PositiveControl:
        """The same on images with a planted mark, and a model that reads it and nothing else."""
        planted = _marked(tests.images, tests.labels, context.task.num_classes, self.corner)
        outcome = self._exchange(context, _ReadsTheMark(context.task, self.corner), planted, tests.labels)
        observed = _difference(outcome).value or 0.0
        return PositiveControl(
            description="The same images with a square in one corner whose brightness gives the class away, and a "
            "model that reads nothing but that square.",
            metric="share of right answers turned",
            expected=_CONTROL_TURNED,
            observed=observed,
        )


class _Outcome(NamedTuple):
    """Which images are read rightly, and of which of them the answer turns with corners of another or its own class."""

    right: Rows
    by_other: Rows
    by_own: Rows


def _difference(outcome: _Outcome) -> Estimate:
    """How much oftener corners of another class turn a right answer: what any seam turns, both turn alike.

    Difference of two shares on the same images, its interval after Agresti and Min 2005 (Statistics in Medicine
    24:729): Wald's, with half an image more in each cell of the table of both.
    """
    num = int(outcome.right.sum())
    if not num:
        return Estimate(value=None, low=None, high=None, n=0)
    other = int((outcome.by_other & ~outcome.by_own).sum())
    own = int((outcome.by_own & ~outcome.by_other).sum())
    middle = (other - own) / (num + 2)
    se = math.sqrt((other + own + 1) - (other - own) ** 2 / (num + 2)) / (num + 2)
    low, high = max(-1.0, middle - _Z * se), min(1.0, middle + _Z * se)
    return Estimate(value=(other - own) / num, low=low, high=high, n=num, se=se)


def partners(labels: Labels, generator: np.random.Generator) -> tuple[Labels, Labels]:
    """For every image one of another class and one of its own that is not itself, as positions; -1 where none is."""
    found = np.full((2, len(labels)), -1, dtype=np.int64)
    of_class = labels.numpy()
    for i, label in enumerate(of_class):
        for row, candidates in enumerate((np.flatnonzero(of_class != label), np.flatnonzero(of_class == label))):
            candidates = candidates[candidates != i]
            if len(candidates):
                found[row, i] = candidates[generator.integers(len(candidates))]
    return torch.from_numpy(found[0]), torch.from_numpy(found[1])


def exchanged(images: Images, partner: Images, corner: float) -> Images:
    """``images`` with the four corners of ``partner``, squares of ``corner`` of the shorter side, a pixel at least."""
    height, width = images.shape[-2:]
    side, found = _side(images, corner), images.clone()
    for rows in (slice(0, side), slice(height - side, height)):
        for columns in (slice(0, side), slice(width - side, width)):
            found[..., rows, columns] = partner[..., rows, columns]
    return found


def _side(image: Tensor, corner: float) -> int:
    """Of a corner, in pixels."""
    return max(1, round(corner * min(image.shape[-2:])))


def _marked(images: Images, labels: Labels, num_classes: int, corner: float) -> Images:
    """With the first corner as bright as the class is high: 0 for the first, 1 for the last."""
    side, found = _side(images, corner), images.clone()
    found[..., :side, :side] = (labels / (num_classes - 1))[:, None, None, None]
    return found


class _ReadsTheMark(nn.Module):
    """Scores of the classes by how near the brightness of the first corner is to their own."""

    def __init__(self, task: Task, corner: float) -> None:
        super().__init__()
        self.task, self.corner = task, corner

    def forward(self, images: Images) -> Float[Tensor, "batch output"]:
        """Logits in the form of the task's head."""
        side, classes = _side(images, self.corner), self.task.num_classes
        level = images[..., :side, :side].mean(dim=(1, 2, 3))
        if self.task.head == "sigmoid":
            return 20.0 * (level[:, None] - 0.5)
        return -20.0 * classes * (level[:, None] - torch.linspace(0, 1, classes)).abs()


def _table(outcome: _Outcome) -> Table:
    right = int(outcome.right.sum())
    rows = [
        ("of an image of another class", share(int(outcome.by_other.sum()), right)),
        ("of an image of its own class", share(int(outcome.by_own.sum()), right)),
    ]
    return Table(title="Right answers that turn", columns=("With the corners", "Share"), rows=tuple(rows))


def _samples(tests: TestImages, outcome: _Outcome) -> list[Sample]:
    return [
        Sample(site=site, row=row, measure="answer turned by the corners of another class", value=float(turned))
        for site, row, right, turned in zip(
            tests.sites, tests.rows, outcome.right.tolist(), (outcome.by_other & ~outcome.by_own).tolist(), strict=True
        )
        if right
    ]
