"""What must fit together before a federated training starts: strategy, aggregator, BatchNorm, number of sites."""

from torch import nn

from medfed.config import Scenario
from medfed.errors import ScenarioError
from medfed.models.entries import batch_norm_entries
from medfed.models.initial import personal_entries
from medfed.registry import name_of
from medfed.rng import numpy_generator
from robustness.aggregation.contract import RobustAggregator
from server.privacy_checks import check_privacy
from server.secure_checks import check_secure_aggregation


def check_federation(scenario: Scenario, model: nn.Module) -> None:
    """Refuse a scenario whose federated part cannot run with ``model``, before anything is written.

    Raises:
        ScenarioError: names the key and what to choose.
    """
    federation = scenario.federation
    if batch_norm_entries(model) - personal_entries(scenario, model) and federation.batch_norm is None:
        raise ScenarioError(
            'key "federation.batch_norm": the model has BatchNorm layers; expected "average", "local" or "frozen", got '
            'nothing; choose one, or model.norm = "group"'
        )
    check_privacy(scenario, model)
    check_secure_aggregation(scenario, model)
    aggregator = federation.aggregator
    asked = list(scenario.training_sites)[: federation.sites_per_round or None]
    num_together = min(map(len, federation.strategy.stages(asked, numpy_generator(scenario.seed, "check"))), default=0)
    if isinstance(aggregator, RobustAggregator) and num_together < aggregator.min_updates():
        name = name_of("aggregator", aggregator)
        raise ScenarioError(
            f'key "federation.aggregator": {name} needs at least {aggregator.min_updates()} updates at once, but '
            f"{num_together} sites train at once; choose another rule or strategy, or fields with which it needs fewer"
        )
