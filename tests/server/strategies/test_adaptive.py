"""Oracles: Flower's FedAdagrad, FedAdam and FedYogi brought to the paper's conventions; one step by hand; limits."""

from typing import Any

import numpy as np
import pytest
import torch
from flwr.serverapp import strategy as flower

from server.strategies.fedadagrad import FedAdagrad
from server.strategies.fedadam import FedAdam
from server.strategies.fedavg import FedAvg
from server.strategies.fedyogi import FedYogi
from tests.server.strategies.flower import step
from tests.server.strategies.values import PARAMETERS, aggregate, changes, weights

ALL = [FedAdagrad, FedAdam, FedYogi]
LR, TAU = 0.03, 2e-3


def _same_start(rule: Any) -> Any:
    """Flower starts from v = 0, the paper and we from tau^2."""
    rule.v_t = {name: np.full(value.shape, TAU**2, np.float32) for name, value in _floats(weights()).items()}
    return rule


def _floats(tensors: Any) -> Any:
    return {name: value for name, value in tensors.items() if name in PARAMETERS}


def _bias_correction(number: int) -> float:
    """What Flower's FedAdam multiplies lr by."""
    return float(np.sqrt(1 - 0.99 ** (number + 1.0)) / (1 - 0.9 ** (number + 1.0)))


@pytest.mark.parametrize(
    ("ours", "theirs", "correction"),
    [
        (FedAdagrad, flower.FedAdagrad, lambda number: 1.0),
        (FedAdam, flower.FedAdam, _bias_correction),
        (FedYogi, flower.FedYogi, lambda number: 1.0),
    ],
)
def test_five_rounds_are_flower_s(monkeypatch: Any, ours: Any, theirs: Any, correction: Any) -> None:
    rule, now, state = _same_start(theirs(eta=LR, tau=TAU)), weights(), {}
    for number in range(1, 6):
        mean = changes(number)
        expected = step(monkeypatch, rule, number, _floats(now), _floats(mean))
        now, state = ours(lr=LR * correction(number), tau=TAU)(now, aggregate(mean), state)
        for name in PARAMETERS:
            np.testing.assert_allclose(now[name].numpy(), expected[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("rule", "second"),
    [
        (FedAdagrad(lr=0.1, tau=0.5), 0.25 + 4.0),
        (FedAdam(lr=0.1, tau=0.5, beta1=0.0, beta2=0.9), 0.9 * 0.25 + 0.1 * 4.0),
        (FedYogi(lr=0.1, tau=0.5, beta1=0.0, beta2=0.9), 0.25 + 0.1 * 4.0),
    ],
)
def test_one_step_by_hand(rule: Any, second: float) -> None:
    """From 1 along a change of 2, with v = 0.5^2 at first."""
    given = {"layer.bias": torch.tensor([1.0])}
    now, state = rule(given, aggregate({"layer.bias": torch.tensor([2.0])}), {})
    assert float(state["v/layer.bias"]) == pytest.approx(second)
    assert float(now["layer.bias"]) == pytest.approx(1.0 + 0.1 * 2.0 / (second**0.5 + 0.5))


def test_yogi_moves_down_where_changes_are_small() -> None:
    """0.25 - 0.1 * 0.01."""
    given = {"layer.bias": torch.tensor([1.0])}
    rule = FedYogi(tau=0.5, beta1=0.0, beta2=0.9)
    _, state = rule(given, aggregate({"layer.bias": torch.tensor([0.1])}), {})
    assert float(state["v/layer.bias"]) == pytest.approx(0.249)


@pytest.mark.parametrize(("rule", "kept"), [(FedAdagrad, 1.0), (FedAdam, 0.99), (FedYogi, 1.0)])
def test_with_a_large_tau_it_is_plain_averaging(rule: Any, kept: float) -> None:
    """Limit: for changes far below tau, v is what is kept of tau^2."""
    mean = changes()
    now, _ = rule(lr=1e3 * (kept**0.5 + 1.0), tau=1e3, beta1=0.0)(weights(), aggregate(mean), {})
    expected, _ = FedAvg()(weights(), aggregate(mean), {})
    for name, value in expected.items():
        torch.testing.assert_close(now[name], value)


@pytest.mark.parametrize("rule", ALL)
def test_buffers_follow_the_plain_mean_and_a_variance_stays_above_zero(rule: Any) -> None:
    """A step of length lr along a small decrease of a small variance would take it below zero."""
    given = weights() | {"norm.running_var": torch.full((4,), 1e-3)}
    mean = changes() | {"norm.running_var": torch.full((4,), -5e-4)}
    now, state = rule(lr=0.1)(given, aggregate(mean), {})
    torch.testing.assert_close(now["norm.running_var"], torch.full((4,), 5e-4))
    assert int(now["norm.num_batches_tracked"]) == 15  # 10 + 4.6, rounded
    assert {name.split("/", 1)[1] for name in state} == PARAMETERS
