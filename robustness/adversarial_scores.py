"""What an attack leaves of a model's score, image by image: 1 or 0 for a reading, Dice for a mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from medfed.audit.results import share
from medfed.metrics.intervals import bootstrap
from medfed.metrics.weights import weighted_mean
from medfed.results import Estimate
from robustness.attacks.criteria import Criterion, DiceBelow, WrongDecisions
from robustness.attacks.result import AttackResult

Values = Float[np.ndarray, " image"]
"""Of each image, in [0, 1]; higher is better for the model."""

RESAMPLES = 1000


@runtime_checkable
class Score(Protocol):
    """How good the model is on one image, with and without an attack.

    Attributes:
        name: in words.
        right: of which images the verdict is, in words: those that are right without an attack.
        kind: how its mean is decided on (:class:`medfed.audit.results.Finding`).
        at_control: the most that may be left where the change is so large that the attack must succeed.
        stop_when_fooled: whether an attack may stop at the first point that counts.
    """

    name: ClassVar[str]
    right: ClassVar[str]
    kind: ClassVar[Literal["share", "mean"]]
    at_control: ClassVar[float]
    stop_when_fooled: ClassVar[bool]

    @property
    def criterion(self) -> Criterion:
        """What the attack is after."""
        ...

    def clean(self, result: AttackResult) -> Values:
        """Without an attack."""
        ...

    def attacked(self, result: AttackResult) -> Values:
        """At the worst point found."""
        ...

    def estimate(self, values: Values, patients: Sequence[str], generator: np.random.Generator) -> Estimate:
        """The mean over images with its interval; every image is of another patient."""
        ...

    def meaning(self, clean: Values, attacked: Values, eps: float) -> str:
        """One sentence for a reader who is no specialist, on images that are right without an attack."""
        ...

    def errors(self, wrong: int, num: int) -> str:
        """One sentence on the ``wrong`` of ``num`` images that are lost without an attack."""
        ...


@dataclass(frozen=True)
class RightReadings:
    """1 where the model reads the image rightly, else 0; the mean is the accuracy."""

    name: ClassVar[str] = "Share of images read rightly"
    right: ClassVar[str] = "read rightly without an attack"
    kind: ClassVar[Literal["share", "mean"]] = "share"
    at_control: ClassVar[float] = 0.01
    stop_when_fooled: ClassVar[bool] = True

    @property
    def criterion(self) -> Criterion:
        """The wrong class."""
        return WrongDecisions()

    def clean(self, result: AttackResult) -> Values:
        """Right without an attack."""
        return 1.0 - result.clean_success.cpu().numpy().astype(np.float64)

    def attacked(self, result: AttackResult) -> Values:
        """Right at every point that was tried."""
        return 1.0 - result.success.cpu().numpy().astype(np.float64)

    def estimate(self, values: Values, patients: Sequence[str], generator: np.random.Generator) -> Estimate:
        """The exact interval of a share."""
        return share(round(float(values.sum())), len(values))

    def meaning(self, clean: Values, attacked: Values, eps: float) -> str:
        """Counts of images."""
        lost = int((clean - attacked).sum())
        return (
            f"Of {len(clean)} images that the model reads rightly, {lost} can be changed by at most {eps:g} grey "
            "levels a pixel so that it reads them wrongly: whoever can alter an image can alter the answer."
            if lost
            else f"None of the {len(clean)} images that the model reads rightly was found to be read wrongly "
            f"after a change of at most {eps:g} grey levels a pixel."
        )

    def errors(self, wrong: int, num: int) -> str:
        """Counts of images."""
        return f"{wrong} of {num} images are read wrongly as they are: the model's own errors, which are not counted."


@dataclass(frozen=True)
class MaskOverlap:
    """The Dice score of the predicted mask, a mean over findings."""

    name: ClassVar[str] = "Mean Dice"
    right: ClassVar[str] = "with a Dice of 0.5 or more without an attack"
    kind: ClassVar[Literal["share", "mean"]] = "mean"
    at_control: ClassVar[float] = 0.25  # half of the Dice below which a mask counts as missed (DiceBelow)
    stop_when_fooled: ClassVar[bool] = False

    @property
    def criterion(self) -> Criterion:
        """A lower Dice; the search goes on below any threshold."""
        return DiceBelow()

    def clean(self, result: AttackResult) -> Values:
        """Dice without an attack."""
        return 1.0 - result.clean_damage.cpu().numpy().astype(np.float64)

    def attacked(self, result: AttackResult) -> Values:
        """The lowest Dice found."""
        return 1.0 - result.damage.cpu().numpy().astype(np.float64)

    def estimate(self, values: Values, patients: Sequence[str], generator: np.random.Generator) -> Estimate:
        """Percentile bootstrap over patients."""
        return bootstrap(partial(weighted_mean, values), patients, RESAMPLES, generator)

    def meaning(self, clean: Values, attacked: Values, eps: float) -> str:
        """Means over images."""
        return (
            f"A change of at most {eps:g} grey levels a pixel takes the mean agreement of the drawn outline with the "
            f"true one from a Dice of {clean.mean():.2f} to {attacked.mean():.2f}."
        )

    def errors(self, wrong: int, num: int) -> str:
        """Counts of images."""
        return (
            f"{wrong} of {num} images have a Dice below 0.5 as they are: the model's own errors, which are not counted."
        )


def worst_so_far(values: dict[float, Values]) -> dict[float, Values]:
    """For every eps the least of what is left at it and at smaller ones, whose points it allows too."""
    found: dict[float, Values] = {}
    least: Values | None = None
    for eps in sorted(values):
        least = values[eps] if least is None else np.minimum(least, values[eps])
        found[eps] = least
    return found
