"""A deliberately weak attack on a convolutional network and on chest films. Oracle: the rule that an attack which fails
its control clears nobody, beside an attack of the same length that passes it."""

import pytest

from medfed.audit.contract import AuditContext
from medfed.config import parse_scenario
from medfed.models.initial import initial_weights
from privacy.leakage.section import GradientInversion
from simulations.benchmarks.leakage.recording import record
from simulations.inputs import check_inputs
from tests.privacy.leakage.attackers import Descent
from tests.privacy.leakage.recorded_run import context_of
from tests.simulations.conftest import TINY

CHANGES = {
    "model": {"name": "tests.privacy.leakage.attackers:Convolutions"},
    "training.transforms": (),
    "training.local_steps": 1,
    "training.batch_size": 1,
    "training.optimizer": {"name": "sgd", "lr": 0.1},
}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> AuditContext:
    """Updates of one step on one chest film each."""
    folder = tmp_path_factory.mktemp("films")
    scenario, dataset = check_inputs(parse_scenario(TINY).replace(**CHANGES))
    sites = [dataset.site(name) for name in scenario.training_sites]
    record(folder, scenario, initial_weights(scenario), sites, 1)
    return context_of(folder, scenario, dataset)


@pytest.mark.parametrize(("total_variation", "strong"), [(0.0, True), (0.2, False)])
def test_the_default_total_variation_of_breaching_is_too_weak_to_clear_a_real_network(
    context: AuditContext, total_variation: float, strong: bool
) -> None:
    """Whatever it found, or did not find, with thresholds that nothing misses."""
    attack = Descent(total_variation=total_variation)
    fields = {"updates": 1, "control_images": 1, "max_named": 0.99, "max_rebuilt": 0.99}
    result = GradientInversion(inversion=attack, **fields)(context)
    assert result.positive_control is not None
    assert result.positive_control.holds is strong
    assert strong or result.verdict == "INCONCLUSIVE"
