"""What a section on performance decides on: a headline metric of one set of images, with an interval for few of them.

The intervals of a run's pages are percentile bootstraps (:mod:`medfed.metrics.intervals`); verdicts take those of
:mod:`medfed.audit.intervals`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from medfed.audit.intervals import Ends, auroc_ends, effective, mean_ends, mean_of, share_ends
from medfed.audit.verdicts import CONFIDENCE
from medfed.results import Estimate, Evaluation
from medfed.types import ImageSet, Task

ENOUGH = 10
"""Patients of every class (images, where patients are unknown), in segmentation with images that show it: of fewer no
interval is given, and nothing is decided. A convention: with nine, one more wrong answer moves a share by a tenth."""


@dataclass(frozen=True, eq=False)
class Scored:
    """One model on one set of images.

    Attributes:
        evaluation: all metrics, with bootstrap intervals.
        classes: names.
        owners: the patient of every image of each class; in segmentation, of every image that shows it.
        patients: the patient of every image.
    """

    evaluation: Evaluation
    classes: tuple[str, ...]
    owners: tuple[tuple[str, ...], ...]
    patients: tuple[str, ...]

    @classmethod
    def of(cls, evaluation: Evaluation, images: ImageSet, task: Task) -> "Scored":
        """From the evaluation of ``images``."""
        return cls(evaluation, task.classes, tuple(_owners(images, task.num_classes)), images.patients)

    @property
    def num_patients(self) -> tuple[int, ...]:
        """Of each class."""
        return tuple(len(set(owners)) for owners in self.owners)

    @property
    def enough(self) -> bool:
        """Whether every class that occurs has enough patients to decide on."""
        return all(number >= ENOUGH for number in self.num_patients if number)

    def estimate(self, metric: str, confidence: float = CONFIDENCE) -> Estimate:
        """A headline metric with its interval, whether or not there is enough to decide on.

        Images of one patient count as one where they are counted (:func:`medfed.audit.intervals.effective`).
        """
        found = self.evaluation.metrics[metric]
        if found.value is None:
            return found
        low, high = _ENDS[metric](self, found, confidence) or (None, None)
        return found.model_copy(update={"low": low, "high": high})

    def decided_on(self, metric: str, confidence: float = CONFIDENCE) -> Estimate:
        """The same, without an interval where there is not enough to decide on."""
        if self.enough:
            return self.estimate(metric, confidence)
        return self.evaluation.metrics[metric].model_copy(update={"low": None, "high": None})

    def shown(self, metric: str, confidence: float = CONFIDENCE) -> Estimate:
        """Any metric for a table: of a headline metric what is decided on, of others the value alone."""
        if metric in _ENDS:
            return self.decided_on(metric, confidence)
        return self.evaluation.metrics[metric].model_copy(update={"low": None, "high": None})

    def by_class(self, metric: str) -> Iterator[tuple[int, float]]:
        """Class and figure, of the classes where it is defined."""
        for label, name in enumerate(self.classes):
            found = self.evaluation.per_class.get(name, {}).get(metric)
            if found is not None and found.value is not None:
                yield label, found.value


def _owners(images: ImageSet, num_classes: int) -> Iterable[tuple[str, ...]]:
    shown = [np.unique(images.targets[row]) for row in images.rows]
    for label in range(num_classes):
        yield tuple(p for p, classes in zip(images.patients, shown, strict=True) if label in classes)


def _auroc(scored: Scored, found: Estimate, confidence: float) -> Ends:
    """Of two classes that of the second; above two the mean over classes, each against the rest."""

    def of(label: int, value: float) -> Estimate:
        rest = (p for other, owners in enumerate(scored.owners) if other != label for p in owners)
        low, high = auroc_ends(value, effective(scored.owners[label]), effective(rest), confidence)
        return Estimate(value=value, low=low, high=high, n=found.n)

    classes = list(scored.by_class("auroc"))
    if len(scored.classes) == 2:
        classes = classes[1:]
    return _ends(mean_of([of(label, value) for label, value in classes], independent=False))


def _balanced(scored: Scored, found: Estimate, confidence: float) -> Ends:
    """The mean of independent shares."""
    parts = []
    for label, value in scored.by_class("recall"):
        low, high = share_ends(value, effective(scored.owners[label]), confidence)
        parts.append(Estimate(value=value, low=low, high=high, n=found.n))
    return _ends(mean_of(parts))


def _accuracy(scored: Scored, found: Estimate, confidence: float) -> Ends:
    assert found.value is not None
    return share_ends(found.value, effective(scored.patients), confidence)


def _mean(scored: Scored, found: Estimate, confidence: float) -> Ends | None:
    if found.value is None or found.se is None or found.n < 2:
        return None
    return mean_ends(found.value, found.se, found.n, confidence)


def _ends(found: Estimate) -> Ends:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


_ENDS: dict[str, Callable[[Scored, Estimate, float], Ends | None]] = {
    "auroc": _auroc,
    "balanced_accuracy": _balanced,
    "accuracy": _accuracy,
    "dice": _mean,
    "iou": _mean,
}
"""By headline metric."""
