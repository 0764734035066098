"""Oracles: torch's own optimizer on a constant gradient, whose way is lr times the effective number of steps."""

import pytest
import torch
from torch import nn

from client.strategies.normalized import Normalized
from client.strategies.plain import Plain
from medfed.exchanged import EFFECTIVE_STEPS
from medfed.training.effective_steps import effective_steps
from medfed.training.optimizers import SGD, AdamW
from tests.client.strategies.bowls import Site, train_once


def _way(optimizer: SGD, num_steps: int) -> float:
    """How far the optimizer goes in learning rates, where every gradient is 1."""
    x = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    steps = optimizer([x], 1.0)
    for _ in range(num_steps):
        x.grad = torch.ones_like(x)
        steps.step()
    return -float(x.detach()) / optimizer.lr


@pytest.mark.parametrize("num_steps", [1, 2, 7, 100])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.5, False), (0.9, False), (0.9, True)])
def test_effective_steps_are_what_torch_does(momentum, nesterov, num_steps):
    optimizer = SGD(lr=0.25, momentum=momentum, nesterov=nesterov)
    assert effective_steps(optimizer, num_steps) == pytest.approx(_way(optimizer, num_steps), rel=1e-12)


def test_plain_sgd_and_optimizers_without_a_definition_count_their_steps():
    assert effective_steps(SGD(), 7) == 7.0
    assert effective_steps(AdamW(), 7) == 7.0


def test_the_change_of_parameters_is_divided_and_buffers_are_not():
    site, optimizer = Site(1.0, 2.0, num_steps=8), {"name": "sgd", "momentum": 0.9}
    plain, normalized = (train_once(client, site, optimizer) for client in (Plain(), Normalized()))
    steps = effective_steps(SGD(momentum=0.9), 8)
    assert normalized.metrics == {EFFECTIVE_STEPS: steps}
    torch.testing.assert_close(normalized.change["w"] * steps, plain.change["w"])
    assert torch.equal(normalized.change["count"], plain.change["count"])
