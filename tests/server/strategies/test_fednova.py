"""Oracles: equation 6 of Wang et al. (NeurIPS 2020) by hand; bounds of the stated number."""

import pytest
import torch

from medfed.errors import UpdateError
from medfed.exchanged import EFFECTIVE_STEPS
from medfed.types import Update
from server.strategies.fednova import FedNova
from tests.server.strategies.values import aggregate, changes, weights


def _update(num_steps: int, stated: float | None) -> Update:
    metrics = {"loss": 1.0} | ({} if stated is None else {EFFECTIVE_STEPS: stated})
    return Update("north", {}, 5, num_steps, metrics)


def test_the_mean_change_per_step_is_taken_so_many_times() -> None:
    given = aggregate(changes(), metrics={EFFECTIVE_STEPS: 2.5})
    now, _ = FedNova()(weights(), given, {})
    torch.testing.assert_close(now["layer.bias"], weights()["layer.bias"] + 2.5 * changes()["layer.bias"])
    torch.testing.assert_close(now["norm.running_var"], weights()["norm.running_var"] + changes()["norm.running_var"])


@pytest.mark.parametrize("stated", [None, 0.0, -3.0, 0.99, 66.0, 1e12])
def test_a_number_that_cannot_be_is_refused(stated: float | None) -> None:
    """Ten steps come to at most 10 * 11 / 2 + 10."""
    with pytest.raises(UpdateError, match="site north: expected the metric effective_steps from 1 to 65 after 10 ste"):
        FedNova().weight(_update(10, stated))


@pytest.mark.parametrize("stated", [1.0, 10.0, 65.0])
def test_a_number_that_can_be_is_taken(stated: float) -> None:
    assert FedNova().weight(_update(10, stated)) == 5.0
    assert FedNova(weighting="uniform").weight(_update(10, stated)) == 1.0
