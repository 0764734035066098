"""What every client strategy must keep; a new line in CLIENT_STRATEGIES is picked up by itself.

Oracles: the Protocol, laws (arguments stay, equal bits twice), names of the model by its own state dict, inverse (file
and back).
"""

import copy
import math
from typing import Any

import pytest
import torch

from client.local import local_round
from client.strategies import CLIENT_STRATEGIES
from client.strategies.contract import ClientStrategy, Job, Outcome
from client.strategies.shared import shared_parameters
from medfed import registry
from medfed.exchanged import CONTROL
from medfed.messages import Request
from medfed.models.initial import initial_model
from medfed.params import get_weights, load_weights, save_weights
from medfed.training.local import train_local
from medfed.types import Weights
from server.strategies import STRATEGIES
from simulations.inputs import check_inputs
from tests.server.strategies.rounds import equal, tiny

SIDES = {STRATEGIES[name]().client()["name"]: STRATEGIES[name]() for name in STRATEGIES}
every_client = pytest.mark.parametrize("name", CLIENT_STRATEGIES)


@pytest.fixture(scope="module")
def federation() -> Any:
    """Scenario and site of a model with BatchNorm whose normalization stays at the site."""
    scenario, dataset = check_inputs(tiny(**{"model.norm": "batch", "federation.batch_norm": "local"}))
    return scenario, dataset.site("site-01")


def _job(federation: Any, state: Weights) -> Job:
    scenario, data = federation
    model = initial_model(scenario)
    given = Job(model, get_weights(model), {}, state, lambda model, correct: None, scenario)
    extras = {CONTROL: {name: torch.full_like(given.weights[name], 1e-3) for name in shared_parameters(given)}}

    def train(model, correct):
        return train_local(model, data.train, scenario, data.site, 1, correct=correct)

    return Job(model, get_weights(model), extras, state, train, scenario)


def _round(name: str, federation: Any) -> tuple[Job, Outcome]:
    """The second round of a site, so that it has a state where the strategy keeps one."""
    client = registry.build("client_strategy", SIDES[name].client())
    job = _job(federation, client(_job(federation, {})).state)
    return job, client(job)


def test_every_client_strategy_serves_a_strategy():
    assert set(SIDES) == set(CLIENT_STRATEGIES)


@every_client
def test_keeps_the_protocol(name):
    assert isinstance(registry.build("client_strategy", SIDES[name].client()), ClientStrategy)


@every_client
def test_changes_no_argument_but_the_model(name, federation):
    client = registry.build("client_strategy", SIDES[name].client())
    job = _job(federation, client(_job(federation, {})).state)
    before = copy.deepcopy((job.weights, job.extras, job.state))
    client(job)
    assert equal(job.weights, before[0])
    assert equal(job.extras[CONTROL], before[1][CONTROL])
    assert equal(job.state, before[2])


@every_client
def test_equal_jobs_give_equal_bits(name, federation):
    (_, one), (_, other) = _round(name, federation), _round(name, federation)
    assert one.result == other.result
    assert one.metrics == other.metrics
    assert equal(one.change, other.change)
    assert equal(one.state, other.state)
    assert all(equal(tensors, other.extras[group]) for group, tensors in one.extras.items())


@every_client
def test_the_change_has_every_entry_of_the_model(name, federation):
    job, outcome = _round(name, federation)
    forms = {key: (value.shape, value.dtype) for key, value in job.weights.items()}
    assert {key: (value.shape, value.dtype) for key, value in outcome.change.items()} == forms
    assert any(value.abs().sum() > 0 for value in outcome.change.values())
    assert all(math.isfinite(value) for value in outcome.metrics.values())


@every_client
def test_a_state_is_of_plain_tensors_that_survive_a_file(name, federation, tmp_path):
    _, outcome = _round(name, federation)
    assert not any(value.requires_grad for value in outcome.state.values())
    save_weights(tmp_path / "state", outcome.state)
    assert equal(load_weights(tmp_path / "state"), outcome.state)


@every_client
def test_extras_are_those_that_the_server_side_names_and_of_shared_parameters_alone(name, federation):
    job, outcome = _round(name, federation)
    assert set(outcome.extras) == set(SIDES[name].extras)
    for tensors in outcome.extras.values():
        assert set(tensors) == set(shared_parameters(job))


@every_client
def test_a_site_s_own_model_is_a_whole_one_and_the_global_one_at_first(name, federation):
    job, outcome = _round(name, federation)
    client = registry.build("client_strategy", SIDES[name].client())
    before = copy.deepcopy((job.weights, outcome.state))
    own = client.personalize(job.weights, outcome.state)
    assert own.keys() == job.weights.keys()
    assert client.personalize(job.weights, {}) is job.weights
    assert equal(job.weights, before[0])
    assert equal(outcome.state, before[1])


@pytest.mark.parametrize("name", sorted(CLIENT_STRATEGIES.keys() - {"proximal"}))  # which pulls them as well
def test_what_stays_at_the_site_is_what_its_own_training_made_of_it(name, federation):
    """Whatever a strategy does to the change that travels: personal weights are those of the trained model."""
    scenario, data = federation
    job, _ = _round(name, federation)
    scenario = scenario.replace(**{"federation.strategy": registry.describe("strategy", SIDES[name])})
    shared = {key: value for key, value in job.weights.items() if not _is_norm(key, job.weights)}
    _, kept = local_round(Request(scenario, "run", 1, shared), data, {})
    model = initial_model(scenario)
    train_local(model, data.train, scenario, data.site, 1)
    for key, value in kept.items():
        if key.startswith("personal/"):
            torch.testing.assert_close(value, model.state_dict()[key.removeprefix("personal/")], rtol=1e-4, atol=1e-6)
    assert any(key.startswith("personal/") for key in kept)


def _is_norm(key: str, weights: Weights) -> bool:
    return f"{key.rsplit('.', 1)[0]}.running_var" in weights
