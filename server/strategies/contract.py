"""What a strategy (server rule) is."""

from typing import Protocol, runtime_checkable

from medfed.types import Update, Weights


@runtime_checkable
class Strategy(Protocol):
    """Weighs each update, then turns the weighted mean of a round into the next global weights.

    ``state`` holds what the rule must remember between rounds (moments, control variates) as named tensors;
    it goes in and comes out, so that a checkpoint is complete without knowing the rule.
    """

    def weight(self, update: Update) -> float:
        """The non-negative weight of ``update`` in the mean."""
        ...

    def __call__(self, weights: Weights, mean: Weights, state: Weights) -> tuple[Weights, Weights]:
        """Global weights, weighted mean of the updates, state -> next global weights, next state."""
        ...
