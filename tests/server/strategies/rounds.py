"""Rounds of a real federation without messages, evaluation and files: what the two sides of a strategy do together."""

from pathlib import Path
from typing import Any

import torch

from client.local import local_round
from medfed.config import parse_scenario
from medfed.messages import Delivery, Request
from medfed.models.initial import initial_model, personal_entries
from medfed.params import get_weights
from medfed.rng import numpy_generator
from medfed.types import Weights
from server.collector import Collector
from server.spool import Spool
from simulations.inputs import check_inputs
from tests.simulations.conftest import FEW


def tiny(**changes: Any) -> Any:
    """Three sites, three steps a round, with dotted keys changed."""
    return parse_scenario(FEW).replace(**changes)


def equal(one: Weights, other: Weights) -> bool:
    """The same names and bits."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def train(scenario: Any, num_rounds: int) -> tuple[Weights, Weights, dict[str, Weights]]:
    """Shared weights, the strategy's state, and what each site keeps."""
    scenario, dataset = check_inputs(scenario)
    strategy, model = scenario.federation.strategy, initial_model(scenario)
    personal = personal_entries(scenario, model)
    weights = {name: value for name, value in get_weights(model).items() if name not in personal}
    state: Weights = {}
    kept: dict[str, Weights] = {site: {} for site in scenario.training_sites}
    for number in range(1, num_rounds + 1):
        draws = numpy_generator(scenario.seed, number, "round")
        for stage in strategy.stages(list(kept), draws):
            collector = Collector(scenario, weights, Spool(Path("unused"), durable=False))
            for site in sorted(stage):
                request = Request(scenario, "run", number, weights, extras=strategy.broadcast(state))
                update, kept[site] = local_round(request, dataset.site(site), kept[site])
                collector.add(Delivery(update, 0.0, 0), len(dataset.site(site).train))
            aggregate, _ = collector.aggregate(len(kept), {}, draws)
            weights, state = strategy(weights, aggregate, state)
    return weights, state, kept
