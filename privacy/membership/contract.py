"""What an attack on membership is: from how sure models are of an image to a score that is larger for members."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float64
from numpy import ndarray

Scores = Float64[ndarray, " image"]


@dataclass(frozen=True, eq=False)
class Signals:
    """What an attacker has: the target's confidence in each image, and that of models of his own.

    A confidence is ``log(p / (1 - p))``, p being the probability of the true label (Carlini et al., IEEE S&P 2022,
    section IV-B); :mod:`privacy.membership.confidence` takes it from logits.

    Attributes:
        target: of the model under attack.
        shadows: of models trained in the same way on other draws of the same images; there may be none.
        trained_on: which of the images each of those was trained on.
    """

    target: Scores
    shadows: Float64[ndarray, "shadow image"]
    trained_on: Bool[ndarray, "shadow image"]


@runtime_checkable
class MembershipAttack(Protocol):
    """An attack; it sees nobody's membership in the target, and its scores of images do not depend on their order."""

    def __call__(self, signals: Signals) -> Scores:
        """A score per image, larger where membership is more likely; numbers only.

        Raises:
            ValueError: there are too few shadows for it.
        """
        ...
