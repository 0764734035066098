"""What every optimizer must do; a new line in OPTIMIZERS is picked up by itself. Oracle: the Optimizer protocol."""

import pytest
import torch
from torch import nn

from medfed.training.optimizers import OPTIMIZERS, Optimizer

every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def _descend(name: str, lr_scale: float, steps: int) -> torch.Tensor:
    """Distance from the minimum of a bowl after some steps from distance 1."""
    x = nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = OPTIMIZERS[name]()([x], lr_scale)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.sum(x**2).backward()
        optimizer.step()
    return x.detach()


@every_optimizer
def test_keeps_the_protocol(name):
    assert isinstance(OPTIMIZERS[name](), Optimizer)


@every_optimizer
def test_walks_down_a_bowl(name):
    assert _descend(name, 1.0, 20).norm() < 2**0.5


@every_optimizer
def test_the_scale_multiplies_the_learning_rate(name):
    value = OPTIMIZERS[name]()
    optimizer = value([nn.Parameter(torch.zeros(1))], 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25 * value.lr]


@every_optimizer
def test_each_call_starts_without_state(name):
    assert torch.equal(_descend(name, 1.0, 5), _descend(name, 1.0, 5))
