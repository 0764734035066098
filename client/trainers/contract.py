"""What a local trainer is."""

from typing import Protocol, runtime_checkable

from torch import nn

from medfed.config import Scenario
from medfed.training.local import Correction, LocalResult
from medfed.types import ImageSet


@runtime_checkable
class Trainer(Protocol):
    """Trains ``model``, which holds the round's global weights, in place on the site's training images.

    All randomness derives from ``(scenario.seed, site, round_number, purpose)``; nothing else is remembered
    between rounds. What a strategy adds to local training comes in as ``correct``, which must be called after every
    backward pass. A trainer with a loop of its own descends the loss of ``scenario.training.adversarial``.
    """

    def __call__(
        self,
        model: nn.Module,
        images: ImageSet,
        scenario: Scenario,
        site: str,
        round_number: int,
        correct: Correction | None = None,
    ) -> LocalResult:
        """Train for one round and say what was done."""
        ...
