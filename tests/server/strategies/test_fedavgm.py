"""Oracles: Flower's FedAvgM, a geometric sum by hand, federated averaging where there is no momentum."""

from typing import Any

import numpy as np
import pytest
import torch
from flwr.serverapp import strategy as flower

from server.strategies.fedavg import FedAvg
from server.strategies.fedavgm import FedAvgM
from tests.server.strategies.flower import step
from tests.server.strategies.values import PARAMETERS, aggregate, changes, weights


def test_five_rounds_are_flower_s(monkeypatch: Any) -> None:
    rule, now, state = flower.FedAvgM(server_learning_rate=0.5, server_momentum=0.8), weights(), {}
    for number in range(1, 6):
        mean = changes(number)
        given = {name: now[name] for name in PARAMETERS}
        expected = step(monkeypatch, rule, number, given, mean)
        now, state = FedAvgM(momentum=0.8, lr=0.5)(now, aggregate(mean), state)
        for name in PARAMETERS:
            np.testing.assert_allclose(now[name].numpy(), expected[name], rtol=1e-5, atol=1e-7)


def test_a_constant_change_adds_up_to_its_geometric_sum() -> None:
    """1 + (1 + 0.5) + (1 + 0.5 + 0.25)."""
    now, state = {"layer.bias": torch.zeros(1)}, {}
    for _ in range(3):
        now, state = FedAvgM(momentum=0.5)(now, aggregate({"layer.bias": torch.ones(1)}), state)
    assert float(now["layer.bias"]) == pytest.approx(4.25)


def test_without_momentum_it_is_federated_averaging_bit_for_bit() -> None:
    ours, plain, state = weights(), weights(), {}
    for number in range(3):
        mean = aggregate(changes(number))
        ours, state = FedAvgM(momentum=0.0)(ours, mean, state)
        plain, _ = FedAvg()(plain, mean, {})
    assert all(torch.equal(ours[name], value) for name, value in plain.items())


def test_buffers_have_no_momentum() -> None:
    now, state = weights(), {}
    for _ in range(3):
        now, state = FedAvgM()(now, aggregate(changes()), state)
    expected = weights()["norm.running_var"] + 3 * changes()["norm.running_var"]
    torch.testing.assert_close(now["norm.running_var"], expected)
