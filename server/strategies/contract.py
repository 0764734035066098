"""What a strategy (server rule) is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from torch import nn

from medfed.types import Update, Weights


@dataclass(frozen=True, eq=False)
class Aggregate:
    """What the aggregator made of the updates of a round (or of one stage of it).

    Attributes:
        tensors: the aggregated change of the shared entries.
        extras: the plain mean over the sites of each group of extra tensors; with a robust aggregator their
            coordinate-wise median.
        metrics: means of the sites' metrics, weighted as the updates are.
        num_updates: how many sites delivered.
        num_sites: how many sites train in this federation, whether asked in this round or not.
        parameters: names of the model's trained parameters; the other entries are buffers, which a rule must leave to
            the mean: a step that is not one takes a variance below zero.
    """

    tensors: Weights
    extras: Mapping[str, Weights]
    metrics: Mapping[str, float]
    num_updates: int
    num_sites: int
    parameters: frozenset[str]

    @property
    def parameter_changes(self) -> Weights:
        """The part of ``tensors`` that a rule may step along."""
        return {name: change for name, change in self.tensors.items() if name in self.parameters}


@runtime_checkable
class Strategy(Protocol):
    """Says what the sites do, weighs each update, and turns the aggregate of a round into the next global weights.

    ``state`` holds what the rule must remember between rounds (moments, control variates) as named tensors;
    it goes in and comes out, so that a checkpoint is complete without knowing the rule. Empty before round 1.
    ``weights`` are the shared entries of the model; none of the arguments is changed in place. ``extras`` names the
    groups of extra tensors that every update must bring.
    """

    extras: ClassVar[tuple[str, ...]]

    def client(self) -> Mapping[str, Any]:
        """The client's side: ``name`` and fields of an entry of ``client.strategies``."""
        ...

    def personal(self, model: nn.Module) -> frozenset[str]:
        """State-dict entries that never leave a site."""
        ...

    def stages(self, sites: Sequence[str], generator: np.random.Generator) -> list[list[str]]:
        """The round's sites in groups that train one after the other, each from the model of the one before."""
        ...

    def broadcast(self, state: Weights) -> Mapping[str, Weights]:
        """Groups of extra tensors that go out with the weights, by the names in :mod:`medfed.exchanged`."""
        ...

    def weight(self, update: Update) -> float:
        """The non-negative weight of ``update`` in the aggregate."""
        ...

    def __call__(self, weights: Weights, aggregate: Aggregate, state: Weights) -> tuple[Weights, Weights]:
        """Global weights, aggregate, state -> next global weights, next state."""
        ...
