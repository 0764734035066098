"""What a detector is: recorded updates -> a score per site, and who is suspected.

Scores are in robust standard deviations of the sites' scores, larger = more suspicious. The threshold is chosen so that
an honest site is suspected with probability ``false_alarms``, if the scores of honest sites are independent draws of
one normal distribution and nobody is malicious (:func:`robustness.detection.outliers.threshold`). Sites whose images
differ in kind break that assumption: measure the rate on honest runs of the same sites before anyone is accused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

FalseAlarms = Annotated[float, Field(gt=0.0, lt=0.5)]
"""The share of honest sites that may be suspected, by one detector, over all rounds together."""


@dataclass(frozen=True, eq=False)
class Round:
    """The updates of one round, the values that are trained only.

    Attributes:
        number: from 1.
        sites: whose update each row is.
        updates: one row per site, float32.
        loss: the server's loss of (global weights + vector of changes) on images of its own; None: it has none.
    """

    number: int
    sites: tuple[str, ...]
    updates: Float[Tensor, "site value"]
    loss: Callable[[Float[Tensor, " value"]], float] | None = None


@dataclass(frozen=True)
class Finding:
    """What a detector says.

    Attributes:
        scores: by site; a site that is in no round has none.
        threshold: a score above it makes a site a suspect.
    """

    scores: Mapping[str, float]
    threshold: float

    @property
    def suspects(self) -> tuple[str, ...]:
        """Sorted by name."""
        return tuple(sorted(site for site, score in self.scores.items() if score > self.threshold))


@runtime_checkable
class Detector(Protocol):
    """A rule; nothing in it is learnt from runs, and the order of sites plays no part."""

    def __call__(self, rounds: Sequence[Round]) -> Finding:
        """Scores over all ``rounds`` together.

        Raises:
            ValueError: there is no round, or what the rule needs is missing.
        """
        ...
