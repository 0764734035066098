"""What a client strategy is: the site's side of a strategy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import nn

from medfed.config import Scenario
from medfed.training.local import Correction, LocalResult
from medfed.types import Weights

Train = Callable[[nn.Module, Correction | None], LocalResult]
"""``train(model, correct)``: one round of the scenario's local training, in place."""


@dataclass(frozen=True, eq=False)
class Job:
    """One round at one site.

    Attributes:
        model: holds ``weights``; train it in place.
        weights: what the round starts from: the shared entries as they came, personal ones as this site left them.
            Not to be changed.
        extras: what the strategy's server side sent along, by the names in :mod:`medfed.exchanged`.
        state: what this site kept after its last round; empty the first time.
        train: the scenario's trainer on this site's training images.
        scenario: all settings.
    """

    model: nn.Module
    weights: Weights
    extras: Mapping[str, Weights]
    state: Weights
    train: Train
    scenario: Scenario


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a round: ``change`` (local minus ``job.weights``) and ``extras`` leave, ``state`` stays.

    ``change`` has every entry of the model; the caller keeps the personal ones at the site. ``metrics`` are numbers
    that the server side averages.
    """

    result: LocalResult
    change: Weights
    extras: Mapping[str, Weights] = field(default_factory=dict)
    state: Weights = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class ClientStrategy(Protocol):
    """What a site does in a round around its local training, and which weights it would use itself."""

    def __call__(self, job: Job) -> Outcome:
        """One round."""
        ...

    def personalize(self, weights: Weights, state: Weights) -> Weights:
        """The site's own model: global ``weights`` (personal entries already in place) and kept ``state``."""
        ...
