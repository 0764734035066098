"""What ``federation.secure_aggregation`` needs of a scenario: that nobody needs the update of a single site."""

import math
from collections.abc import Iterator

from torch import nn

from medfed.config import Scenario
from medfed.errors import QuorumError, ScenarioError
from medfed.models.initial import personal_entries
from medfed.registry import name_of, table
from medfed.rng import numpy_generator
from privacy.mechanisms.contract import ServerMechanism, SharedMechanism
from server.private import asked_per_round

_MOST_SITES = 1000
"""Clip and noise of 9 deviations are 2^18 x (1 + 9 / sqrt(sites)) steps at most, of the 2^31 / sites that there are."""


def check_secure_aggregation(scenario: Scenario, model: nn.Module) -> None:
    """Refuse a scenario in which something needs single updates, or in which too few are summed.

    Args:
        scenario: with ``federation.sites`` filled in.
        model: its model.

    Raises:
        ScenarioError: names the key, the reason and what would work.
    """
    if scenario.federation.secure_aggregation.is_on:
        for misfit in (*_of_the_rules(scenario), *_of_the_run(scenario), *_of_the_model(scenario, model)):
            raise ScenarioError(f'{misfit}; or federation.secure_aggregation = "none"')
        try:
            scenario.federation.secure_aggregation.degree(_fewest_at_once(scenario))
        except QuorumError as error:
            raise ScenarioError(f'key "federation.secure_aggregation": {error}') from error


def least_honest(scenario: Scenario) -> int:
    """How many sites must deliver so that enough noise is in the sum; 0 where sites do not share it."""
    mechanism, settings = scenario.privacy.mechanism, scenario.federation.secure_aggregation
    if not isinstance(mechanism, SharedMechanism):
        return 0
    asked = asked_per_round(scenario)
    return mechanism.least_delivered(asked, math.floor(settings.colluding * asked))


def _fewest_at_once(scenario: Scenario) -> int:
    """Sites of the smallest stage of a round in which nobody is missing."""
    asked = list(scenario.training_sites)[: scenario.federation.sites_per_round or None]
    stages = scenario.federation.strategy.stages(asked, numpy_generator(scenario.seed, "check"))
    return min(map(len, stages), default=0)


def _of_the_rules(scenario: Scenario) -> Iterator[str]:
    federation = scenario.federation
    rule = name_of("aggregator", federation.aggregator)
    if rule != "mean":
        yield f'key "federation.aggregator": {rule} needs single updates, the server sees their sum; expected "mean"'
    strategy = federation.strategy
    if not getattr(strategy, "post_processing", False) or strategy.extras:
        served = [each for each, cls in table("strategy").items() if getattr(cls, "post_processing", False)]
        yield (
            f'key "federation.strategy": {name_of("strategy", strategy)} uses more of the updates than their mean; '
            f"expected one of: {', '.join(sorted(served))}"
        )
    compression = name_of("compression", federation.compression)
    if compression != "none":
        yield f'key "federation.compression": {compression} cannot be undone of a masked update; expected "none"'
    if isinstance(scenario.privacy.mechanism, ServerMechanism):
        name = name_of("mechanism", scenario.privacy.mechanism)
        yield f'key "privacy.mechanism": {name} clips single updates at the server; expected one that sites apply'


def check_shared_noise(scenario: Scenario) -> Iterator[str]:
    """What noise that sites share needs: that nobody sees a single update, and that all sites weigh the same."""
    if not isinstance(scenario.privacy.mechanism, SharedMechanism):
        return
    name, federation = name_of("mechanism", scenario.privacy.mechanism), scenario.federation
    if not federation.secure_aggregation.is_on:
        yield (
            f'key "privacy.mechanism": {name} noises the sum, so that nobody may see single updates; expected '
            'federation.secure_aggregation = { name = "secagg_plus" }, or mechanism "local"'
        )
        return
    asked = asked_per_round(scenario)
    if getattr(federation.strategy, "weighting", "uniform") != "uniform":
        yield (
            f'key "federation.strategy.weighting": {name} shares the noise equally, and would have to be scaled to the '
            'heaviest site; expected "uniform"'
        )
    if (needed := least_honest(scenario)) > asked:
        yield (
            f'key "privacy.mechanism.honest": {scenario.privacy.mechanism.honest:g} of {asked} sites beside the '
            f"colluding ones are {needed}; expected a smaller share, or secure_aggregation.colluding = 0.0"
        )
    if federation.secure_aggregation.bits == 32 and asked > _MOST_SITES:
        yield f'key "federation.secure_aggregation.bits": {asked} sites\' noise needs more room; expected 64'


def _of_the_run(scenario: Scenario) -> Iterator[str]:
    if scenario.record.rounds:
        yield 'key "record.rounds": the server has no single updates to record; expected []'
    if scenario.adversary.sites:
        yield 'key "adversary": what malicious sites do is measured on single updates; expected adversary.sites = 0'
    if scenario.engine.spool:
        yield 'key "engine.spool": the server has no single updates to spool; expected false'
    if scenario.engine.vectorise > 1:
        yield 'key "engine.vectorise": sites mask their updates one by one; expected 0'


def _of_the_model(scenario: Scenario, model: nn.Module) -> Iterator[str]:
    """Statistics and counters of BatchNorm grow without a bound that a clip could be set to."""
    tracked = {name for name in model.state_dict() if name.endswith("running_mean")} - personal_entries(scenario, model)
    if tracked and scenario.federation.batch_norm != "frozen":
        yield (
            f'key "federation.batch_norm": running statistics ({sorted(tracked)[0]}, ...) have no common range to be '
            'quantised in; expected "local" or "frozen", or model.norm = "group"'
        )
