"""The audit section on shortcuts: does the model read marks in the corners of an image?

Films carry letters, arrows and scanner names there, and hospitals that treat the sick put others than those that screen
(Zech et al. 2018, PLOS Medicine 15:e1002683; DeGrave, Janizek and Lee 2021, Nature Machine Intelligence 3:610). The
test is an exchange: an image gets the corners of another of another class. A model that reads what lies between them
answers as before. To tell the seam from the content, the same is done with the corners of an image of its own class.
"""

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field
from torch import nn

from medfed.audit.contract import AuditContext, NotTestedError, TestImages
from medfed.audit.results import Finding, PositiveControl, Sample, SectionResult, Table, share
from medfed.registry import plugin
from medfed.results import Estimate
from medfed.training.evaluation import predict_batch
from medfed.types import Task
from robustness.shortcut_corners import (
    Images,
    Labels,
    ReadsSomeMarks,
    Rows,
    exchanged,
    partners,
    some_of_each_class,
)

Share = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]

_ELSEWHERE = (
    "marks elsewhere in the image, and shortcuts that are no mark: the noise of a scanner, the position of the "
    "patient, age and sex"
)

_CONTROL_SHARE = 3.0
"""The model of the control reads the mark in so many times ``max_turned`` of the images: of 0.1 that is found, its
interval wholly above, from about 15 right answers of each of two classes on."""

_Z = 1.959964  # of 95 %


@plugin
class Shortcuts:
    """Exchange the corners of test images, and count the answers that turn.

    Attributes:
        corner: side of the square in each corner, as a share of the image's side.
        max_turned: share of right answers that corners of another class may turn beyond what those of its own do, mean
            over classes.
        images: most test images, one of a patient.
    """

    title: ClassVar[str] = "Right for the wrong reason"

    corner: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.2
    max_turned: Share = 0.1
    images: Annotated[int, Field(ge=2)] = 256

    def __call__(self, context: AuditContext) -> SectionResult:
        """Exchange, beside marks that the audit planted and a model that reads some of them."""
        if context.task.kind != "classification":
            raise NotTestedError("needs one answer for an image; what an outline rests on takes another test")
        tests = context.draw_tests(self.images, "shortcuts")
        outcome = self._exchange(context, context.model, tests.images, tests.labels)
        right = int(outcome.right.sum())
        if right == 0:
            raise NotTestedError("the model reads no test image rightly that has others of its class and of another")
        finding = Finding(
            what="Share of right answers that corners of another class turn, minus what corners of its own class turn",
            estimate=difference(outcome),
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
            positive_control=self._control(context, tests.take(outcome.right.nonzero()[:, 0].tolist())),
            tables=(_table(outcome, context.task),),
            not_tested=(*_unread(outcome, context.task), _ELSEWHERE),
            samples=tuple(_samples(tests, outcome)),
        )

    def _exchange(self, context: AuditContext, model: nn.Module, images: Images, labels: Labels) -> "Outcome":
        """Answers before and after, each image with the corners of two others that the seed draws."""
        generator = context.numpy_generator("shortcuts", "partners")
        other, own = partners(labels, generator)
        before = predict_batch(model, images, context.task).argmax(dim=1)
        right = (before == labels) & (other >= 0) & (own >= 0)

        def turned(partner: Labels) -> Rows:
            found = predict_batch(model, exchanged(images, images[partner.clamp(min=0)], self.corner), context.task)
            return right & (found.argmax(dim=1) != before)

        return Outcome(labels, right, turned(other), turned(own))

    def _control(self, context: AuditContext, tests: TestImages) -> PositiveControl:
        """As many images with a planted mark, and a model that reads it in a few of them: is it found?"""
        part = min(1.0, _CONTROL_SHARE * self.max_turned)
        read = some_of_each_class(tests.labels, part, context.numpy_generator("shortcuts", "control"))
        model = ReadsSomeMarks(context.task, self.corner)
        planted = model.planted(tests.images, tests.labels, read)
        return PositiveControl(
            description=f"The {len(tests.labels)} images read rightly, with a mark in one corner that gives the class "
            f"away, and a model that reads it in {100 * part:g} % of them and the middle in the others: it must FAIL.",
            metric="share of right answers turned, lower end of the interval",
            expected=self.max_turned,
            observed=difference(self._exchange(context, model, planted, tests.labels)).low,
        )


class Outcome(NamedTuple):
    """Which images are read rightly, and of which of them the answer turns with corners of another or its own class."""

    labels: Labels
    right: Rows
    by_other: Rows
    by_own: Rows

    def of(self, label: int) -> tuple[int, int, int]:
        """Of one class: right answers, those that only another class turned, those that only their own did."""
        right = self.right & (self.labels == label)
        other, own = right & self.by_other & ~self.by_own, right & self.by_own & ~self.by_other
        return int(right.sum()), int(other.sum()), int(own.sum())


def difference(outcome: Outcome) -> Estimate:
    """How much oftener corners of another class turn a right answer: what any seam turns, both turn alike.

    The mean over classes with a right answer, so that how many images a class has does not matter: a mark that only the
    sick have turns their answers alone. In a class it is the difference of two shares on the same images, its interval
    after Agresti and Min 2005 (Statistics in Medicine 24:729): Wald's, with half an image more in each cell of the
    table of both.
    """
    counts = [found for found in map(outcome.of, np.unique(outcome.labels.numpy()).tolist()) if found[0]]
    num = sum(right for right, *_ in counts)
    if not num:
        return Estimate(value=None, low=None, high=None, n=0)
    value = sum((other - own) / right for right, other, own in counts) / len(counts)
    middle = sum((other - own) / (right + 2) for right, other, own in counts) / len(counts)
    errors = (
        math.sqrt((other + own + 1) - (other - own) ** 2 / (right + 2)) / (right + 2) for right, other, own in counts
    )
    se = math.hypot(*errors) / len(counts)
    low, high = max(-1.0, middle - _Z * se), min(1.0, middle + _Z * se)
    return Estimate(value=value, low=low, high=high, n=num, se=se)


def _unread(outcome: Outcome, task: Task) -> Iterator[str]:
    for label, name in enumerate(task.classes):
        if bool((outcome.labels == label).any()) and outcome.of(label)[0] == 0:
            yield f"{name}: no right answer that corners could turn"


def _table(outcome: Outcome, task: Task) -> Table:
    """Of every class by itself."""
    rows = []
    for label, name in enumerate(task.classes):
        of_class = outcome.labels == label
        right = int((outcome.right & of_class).sum())
        if right:
            turned = (share(int((part & of_class).sum()), right) for part in (outcome.by_other, outcome.by_own))
            rows.append((name, *turned))
    columns = ("Right answers", "With corners of another class", "With corners of their own class")
    return Table(title="Share of right answers that turn", columns=columns, rows=tuple(rows))


def _samples(tests: TestImages, outcome: Outcome) -> list[Sample]:
    return [
        Sample(site=site, row=row, measure="answer turned by the corners of another class", value=float(turned))
        for site, row, right, turned in zip(
            tests.sites, tests.rows, outcome.right.tolist(), (outcome.by_other & ~outcome.by_own).tolist(), strict=True
        )
        if right
    ]
