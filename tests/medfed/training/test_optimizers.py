"""Optimizers. Oracle: one step by hand."""

import pytest
import torch
from torch import nn

from medfed.training.optimizers import SGD, AdamW


def _steps(optimizer_value, num_steps: int) -> list[float]:
    """Positions from 1 under the constant gradient 2."""
    x = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    optimizer = optimizer_value([x], 1.0)
    positions = []
    for _ in range(num_steps):
        x.grad = torch.tensor(2.0, dtype=torch.float64)
        optimizer.step()
        positions.append(x.item())
    return positions


def test_sgd_by_hand():
    assert _steps(SGD(lr=0.1), 2) == pytest.approx([0.8, 0.6])


def test_sgd_with_momentum_by_hand():
    """Velocities 2, 0.5 x 2 + 2 = 3."""
    assert _steps(SGD(lr=0.1, momentum=0.5), 2) == pytest.approx([0.8, 0.5])


def test_nesterov_looks_ahead_by_hand():
    """g + momentum v: 2 + 0.5 x 2 = 3, then 2 + 0.5 x 3 = 3.5."""
    assert _steps(SGD(lr=0.1, momentum=0.5, nesterov=True), 2) == pytest.approx([0.7, 0.35])


def test_sgd_decay_is_an_l2_penalty():
    """Gradient 2 + 0.5 x 1."""
    assert _steps(SGD(lr=0.1, weight_decay=0.5), 1) == pytest.approx([0.75])


def test_adamw_decays_apart_from_the_gradient():
    """First step: x (1 - lr decay) - lr, since m / sqrt(v) = 1."""
    assert _steps(AdamW(lr=0.1, weight_decay=0.5), 1) == pytest.approx([1 - 0.05 - 0.1], abs=1e-7)
