"""Oracles: the minimum of bowl plus proximal term in closed form; plain training for the global model."""

import pytest
import torch

from client.strategies.ditto import Ditto
from client.strategies.plain import Plain
from medfed.params import get_weights
from tests.client.strategies.bowls import Bowl, Site, scalar, train_once

SGD = {"name": "sgd", "lr": 0.1}


def test_the_global_model_is_that_of_plain_training():
    site, adamw = Site(1.5, 2.0), {"name": "adamw"}
    plain, ditto = (train_once(client, site, adamw, -1.0) for client in (Plain(), Ditto(lam=0.3)))
    assert torch.equal(plain.change["w"], ditto.change["w"])
    assert plain.result == ditto.result


@pytest.mark.parametrize("lam", [0.0, 0.5, 4.0])
def test_the_personal_model_goes_to_its_minimum_whatever_it_began_with(lam):
    site, start = Site(2.0, 1.0, num_steps=300), -3.0
    expected = (2.0 * 1.0 + lam * start) / (2.0 + lam)  # where 2 (v - 1) + lam (v - start) = 0
    for state in ({}, get_weights(Bowl(7.0))):
        outcome = train_once(Ditto(lam=lam), site, SGD, start, state=state)
        assert scalar(outcome.state["w"]) == pytest.approx(expected, abs=1e-9)


def test_the_first_personal_model_begins_at_the_global_weights():
    """One step of 0.1 from 1 on (v - 3)^2 / 2, where the pull is still zero."""
    outcome = train_once(Ditto(lam=5.0), Site(1.0, 3.0, num_steps=1), SGD, 1.0)
    assert scalar(outcome.state["w"]) == pytest.approx(1.2)


def test_a_site_uses_its_own_model_once_it_has_one():
    weights, own = get_weights(Bowl(1.0)), get_weights(Bowl(2.0))
    assert Ditto(lam=0.1).personalize(weights, own) is own
    assert Ditto(lam=0.1).personalize(weights, {}) is weights
