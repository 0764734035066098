"""What ``[privacy]`` needs of a scenario: that all which leaves the sites is noised, and noise can be scaled to it."""

from collections.abc import Iterator

from torch import nn

from medfed.config import Scenario
from medfed.errors import ScenarioError
from medfed.models.initial import personal_entries
from medfed.registry import name_of, table
from privacy.mechanisms.contract import ServerMechanism
from robustness.aggregation.contract import StreamingAggregator


def check_privacy(scenario: Scenario, model: nn.Module) -> None:
    """Refuse a scenario whose privacy cannot be what it says.

    Args:
        scenario: with ``federation.sites`` filled in.
        model: its model.

    Raises:
        ScenarioError: names the key, the reason and what would work.
    """
    if scenario.privacy.is_on:
        for misfit in (*_at_the_server(scenario), *_anywhere(scenario), *_of_the_model(scenario, model)):
            raise ScenarioError(misfit)


def _at_the_server(scenario: Scenario) -> Iterator[str]:
    if not isinstance(scenario.privacy.mechanism, ServerMechanism):
        return
    name, federation = name_of("mechanism", scenario.privacy.mechanism), scenario.federation
    if not isinstance(federation.aggregator, StreamingAggregator):
        rule = name_of("aggregator", federation.aggregator)
        yield (
            f'key "federation.aggregator": how far one site can move {rule} is not bounded as its mean is, so that '
            f'noise cannot be scaled to it; expected "mean" with privacy.mechanism = "{name}", or "local" with {rule}'
        )
    if not getattr(federation.strategy, "post_processing", False):
        rule = name_of("strategy", federation.strategy)
        served = [each for each, cls in table("strategy").items() if getattr(cls, "post_processing", False)]
        yield (
            f'key "federation.strategy": {rule} uses more of the updates than the noised mean; expected, with '
            f'privacy.mechanism = "{name}", one of: {", ".join(sorted(served))}'
        )


def _anywhere(scenario: Scenario) -> Iterator[str]:
    strategy, evaluation = scenario.federation.strategy, scenario.evaluation
    if strategy.extras:
        name = name_of("strategy", strategy)
        yield (
            f'key "federation.strategy": {name} sends {", ".join(strategy.extras)} beside the update, a second release '
            "without noise; expected another strategy, e.g. fedavg"
        )
    if evaluation.patience or evaluation.keep == "best":
        yield (
            'key "evaluation": patience and keep = "best" choose a round by scores without noise, which tells of them; '
            'expected patience = 0 and keep = "last"'
        )
    least = 1.0 / len(scenario.training_sites)
    if scenario.privacy.delta >= least:
        yield (
            f'key "privacy.delta": {scenario.privacy.delta:g} allows a site to be published outright; expected less '
            f"than 1 / number of sites = {least:g}, e.g. 1e-5"
        )


def _of_the_model(scenario: Scenario, model: nn.Module) -> Iterator[str]:
    tracked = _running_statistics(model) - personal_entries(scenario, model)
    if tracked and scenario.federation.batch_norm != "frozen":
        yield (
            f'key "model": running statistics ({sorted(tracked)[0]}, ...) are sums over images that no clip bounds; '
            'expected norm = "group", or federation.batch_norm = "local" or "frozen"'
        )


def _running_statistics(model: nn.Module) -> frozenset[str]:
    """State-dict names of the means of all layers that keep some: batch and instance normalization."""
    return frozenset(name for name in model.state_dict() if name.endswith("running_mean"))
