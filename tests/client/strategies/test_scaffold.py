"""Oracles: Option II of Karimireddy et al. (ICML 2020, Algorithm 1) for plain SGD; plain training; means by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client.strategies.plain import Plain
from client.strategies.scaffold import Scaffold
from client.strategies.shared import shared_parameters
from medfed.exchanged import CONTROL
from medfed.params import get_weights
from tests.client.strategies.bowls import Site, job, scalar, train_once
from tests.medfed.trial import BASE

SGD = {"name": "sgd", "lr": 0.1}
numbers = st.floats(-2.0, 2.0)


def _one(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor([value], dtype=torch.float64)}


@settings(max_examples=30)
@given(start=numbers, own=numbers, common=numbers, steps=st.integers(1, 20))
def test_the_new_control_variate_is_that_of_option_ii(start, own, common, steps):
    site = Site(1.5, 1.0, num_steps=steps)
    outcome = train_once(Scaffold(), site, SGD, start, {CONTROL: _one(common)}, _one(own))
    option_ii = own - common - scalar(outcome.change["w"]) / (steps * 0.1)  # x - y_K = -change
    assert scalar(outcome.state["w"]) == pytest.approx(option_ii, abs=1e-10)
    assert scalar(outcome.extras[CONTROL]["w"]) == pytest.approx(option_ii - own, abs=1e-10)


def test_each_step_is_along_the_corrected_gradient():
    """Two steps of 0.1 from 0 on (w - 1)^2 / 2 with c - c_i = 0.5: gradients -1 + 0.5, then -0.95 + 0.5."""
    outcome = train_once(Scaffold(), Site(1.0, 1.0, num_steps=2), SGD, 0.0, {CONTROL: _one(0.7)}, _one(0.2))
    assert scalar(outcome.change["w"]) == pytest.approx(0.1 * 0.5 + 0.1 * 0.45)
    assert scalar(outcome.state["w"]) == pytest.approx((-1.0 - 0.95) / 2)


@pytest.mark.parametrize("optimizer", [SGD, {"name": "sgd", "momentum": 0.9}, {"name": "adamw"}])
def test_equal_control_variates_correct_nothing(optimizer):
    site = Site(1.5, 2.0)
    plain = train_once(Plain(), site, optimizer, -1.0)
    first = train_once(Scaffold(), site, optimizer, -1.0)
    later = train_once(Scaffold(), site, optimizer, -1.0, {CONTROL: _one(0.3)}, _one(0.3))
    for outcome in (first, later):
        assert torch.equal(outcome.change["w"], plain.change["w"])


def test_what_stays_at_the_site_and_buffers_have_no_control_variate():
    scenario = BASE.replace(**{"model.norm": "batch", "federation.batch_norm": "local"})
    model = scenario.model(scenario.model_task)
    given_job = job(Site(1.0, 1.0), BASE, {**_one(0.0), "count": torch.tensor(0)})
    names = shared_parameters(type(given_job)(model, get_weights(model), {}, {}, given_job.train, scenario))
    assert {name.split(".")[-1] for name in names} == {"weight", "bias"}
    normalization = {name.rsplit(".", 1)[0] for name in model.state_dict() if name.endswith("running_var")}
    assert normalization
    assert not any(name.rsplit(".", 1)[0] in normalization for name in names)
