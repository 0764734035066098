"""From the updates of a stage to one aggregate: folded as they come, or spooled and read in chunks."""

import numpy as np
import torch

from medfed.config import Scenario
from medfed.messages import Delivery
from medfed.models.initial import trained_entries
from medfed.params import unflatten
from medfed.training.local import steps_per_round
from medfed.types import Weights
from robustness.aggregation.contract import RobustAggregator, StreamingAggregator
from robustness.aggregation.median import CoordinateMedian
from server.checks import check_effective_steps, check_extras, check_update
from server.fold import MeanFold, MetricsFold, MetricsMedian
from server.private import PrivateSum
from server.spool import Spool, SpoolRows
from server.strategies.contract import Aggregate


class Collector:
    """Takes updates in the order of site names; ``weights`` are what the stage started from.

    With ``private``, parameters go there, clipped, and buffers nowhere: their aggregated change is zero.
    """

    def __init__(self, scenario: Scenario, weights: Weights, spool: Spool, private: PrivateSum | None = None) -> None:
        self._federation, self._training = scenario.federation, scenario.training
        self._parameters = trained_entries(scenario)
        self._weights = weights
        self._trained = {name: value for name, value in weights.items() if name in self._parameters}
        self._spool, self._private = spool, private
        self._fold = MeanFold()
        self._extras = {name: MeanFold() for name in scenario.federation.strategy.extras}
        self._is_streaming = isinstance(self._federation.aggregator, StreamingAggregator)
        self._metrics = MetricsFold() if self._is_streaming else MetricsMedian()
        self._sites: dict[str, float] = {}

    def __len__(self) -> int:
        """How many updates were taken."""
        return len(self._sites)

    def add(self, delivery: Delivery, num_train: int, from_spool: bool = False) -> None:
        """Check one update and fold it, or keep it for later; one that is refused leaves no trace.

        Args:
            delivery: the update, decompressed.
            num_train: how many images the site said it has when it joined.
            from_spool: it lies in the spool already.

        Raises:
            UpdateError: the update does not fit.
        """
        update, aggregator = delivery.update, self._federation.aggregator
        check_update(update, self._weights, num_train, steps_per_round(self._training, num_train))
        check_extras(update, self._federation.strategy.extras, self._trained)
        check_effective_steps(update, self._training.optimizer)
        weight = self._federation.strategy.weight(update)
        if not from_spool and (self._spool.durable or not self._is_streaming):
            self._spool.add(delivery)
        if self._private is not None:
            parameters = {name: update.tensors[name] for name in self._trained}
            self._private.add(update.site, parameters, aggregator.factor(update.tensors))
        elif self._is_streaming:
            self._fold.add(update.tensors, weight, aggregator.factor(update.tensors))
        if self._is_streaming:
            for name, fold in self._extras.items():
                fold.add(update.extras[name], 1.0)
        self._metrics.add(update.metrics, weight)
        self._sites[update.site] = weight

    def aggregate(self, num_sites: int, state: Weights, draws: np.random.Generator) -> tuple[Aggregate, Weights]:
        """The aggregate of all that was added, and the next state of the aggregator, or of the mechanism of privacy.

        Args:
            num_sites: how many sites train in this federation.
            state: what the aggregator remembers.
            draws: the round's random numbers.

        Raises:
            QuorumError: fewer updates than a robust aggregator needs.
        """
        aggregator = self._federation.aggregator
        if self._private is not None:
            mean, state = self._private.noisy_mean()
            tensors = {name: mean.get(name, torch.zeros_like(value)) for name, value in self._weights.items()}
        elif isinstance(aggregator, RobustAggregator):
            tensors, state = self._robust(aggregator, state, draws)
        else:
            tensors = self._fold.result()
        extras = {name: self._extra(name, draws) for name in self._extras}
        metrics = self._metrics.result()
        return Aggregate(tensors, extras, metrics, len(self), num_sites, self._parameters), state

    def _extra(self, name: str, draws: np.random.Generator) -> Weights:
        """The plain mean of a group of extra tensors; with a robust rule their median, so that none is a way past it.

        Not the rule itself, which may remember the updates of earlier rounds.
        """
        if self._is_streaming:
            return self._extras[name].result()
        return self._median(self._trained, draws, name)

    def _median(self, like: Weights, draws: np.random.Generator, extra: str | None = None) -> Weights:
        vector, _ = CoordinateMedian()(self._rows(like, extra), torch.ones(len(self)), {}, draws)
        return unflatten(vector, like)

    def _robust(
        self, aggregator: RobustAggregator, state: Weights, draws: np.random.Generator
    ) -> tuple[Weights, Weights]:
        """The rule sees what is trained; of buffers, whose counts would drown every distance, the median is taken."""
        weights = torch.tensor(list(self._sites.values()))
        vector, state = aggregator(self._rows(self._trained), weights, state, draws)
        found = unflatten(vector, self._trained)
        buffers = {name: value for name, value in self._weights.items() if name not in self._trained}
        if buffers:
            found |= self._median(buffers, draws)
        return {name: found[name] for name in self._weights}, state

    def _rows(self, like: Weights, extra: str | None = None) -> SpoolRows:
        return SpoolRows(self._spool, list(self._sites), like, extra)
