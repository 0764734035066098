"""Oracles: the two update equations by hand, federated averaging with uniform weights."""

import pytest
import torch

from medfed.exchanged import CONTROL
from server.strategies.fedavg import FedAvg
from server.strategies.scaffold import Scaffold
from tests.server.strategies.values import aggregate, changes, weights


def test_the_control_variate_moves_by_the_share_of_sites_that_delivered() -> None:
    """2 of 4 sites; mean change 0.8, then 0.4."""
    state = {}
    for change, expected in ((0.8, 0.4), (0.4, 0.6)):
        given = aggregate(changes(), {CONTROL: {"layer.bias": torch.full((4,), change)}})
        _, state = Scaffold()(weights(), given, state)
        torch.testing.assert_close(state["layer.bias"], torch.full((4,), expected))
    assert Scaffold().broadcast(state)[CONTROL] == state


def test_one_step_is_the_mean_times_lr_for_parameters_and_the_mean_for_buffers() -> None:
    given = aggregate(changes(), {CONTROL: {}})
    plain, _ = FedAvg(weighting="uniform")(weights(), given, {})
    same, _ = Scaffold()(weights(), given, {})
    half, _ = Scaffold(lr=0.5)(weights(), given, {})
    assert all(torch.equal(same[name], value) for name, value in plain.items())
    torch.testing.assert_close(half["layer.bias"], weights()["layer.bias"] + 0.5 * changes()["layer.bias"])
    assert torch.equal(half["norm.running_var"], plain["norm.running_var"])


@pytest.mark.parametrize("extras", [{}, {"no.such": torch.ones(1)}])
def test_a_control_variate_that_no_site_sends_stays(extras: dict[str, torch.Tensor]) -> None:
    state = {"layer.bias": torch.ones(4)}
    _, after = Scaffold()(weights(), aggregate(changes(), {CONTROL: extras}), state)
    assert torch.equal(after["layer.bias"], state["layer.bias"])
