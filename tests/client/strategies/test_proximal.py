"""Oracles: the gradient of the proximal term by autograd, the minimum of a bowl plus a bowl in closed form."""

import pytest
import torch

from client.strategies.plain import Plain
from client.strategies.proximal import Proximal, pull
from tests.client.strategies.bowls import Bowl, Site, scalar, train_once

SGD = {"name": "sgd", "lr": 0.1}


def test_the_pull_is_the_gradient_of_the_proximal_term():
    model, center = Bowl(3.0), {"w": torch.tensor([1.0], dtype=torch.float64)}
    (0.35 * (model.w - center["w"]).square().sum()).backward()
    expected = model.w.grad.clone()
    model.w.grad.zero_()
    pull(center, 0.7)(model)
    torch.testing.assert_close(model.w.grad, expected)


def test_a_parameter_without_gradient_is_left_alone():
    model = Bowl(3.0)
    pull({"w": torch.zeros(1, dtype=torch.float64)}, 0.7)(model)
    assert model.w.grad is None


@pytest.mark.parametrize("mu", [0.0, 0.5, 4.0])
def test_long_training_ends_between_the_site_s_minimum_and_the_global_weights(mu):
    site, start = Site(curvature=2.0, minimum=1.0, num_steps=300), -3.0
    outcome = train_once(Proximal(mu=mu), site, SGD, start)
    expected = (2.0 * 1.0 + mu * start) / (2.0 + mu)  # where 2 (w - 1) + mu (w - start) = 0
    assert start + scalar(outcome.change["w"]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("optimizer", [SGD, {"name": "adamw"}])
def test_without_strength_it_is_plain_training_bit_for_bit(optimizer):
    site = Site(1.5, 2.0)
    plain, proximal = (train_once(client, site, optimizer, -1.0) for client in (Plain(), Proximal(mu=0.0)))
    assert torch.equal(plain.change["w"], proximal.change["w"])
