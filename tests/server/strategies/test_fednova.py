"""Oracles: equation 6 of Wang et al. (NeurIPS 2020) by hand; the optimizer's number by hand; a median by hand."""

import pytest
import torch

from medfed.errors import UpdateError
from medfed.exchanged import EFFECTIVE_STEPS
from medfed.training.optimizers import AdamW
from medfed.types import Update
from server.checks import check_effective_steps
from server.fold import MetricsMedian
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


def test_a_missing_number_is_refused() -> None:
    with pytest.raises(UpdateError, match="site north: expected the metric effective_steps, got none"):
        FedNova().weight(_update(10, None))


def test_the_weight_is_that_of_federated_averaging() -> None:
    assert FedNova().weight(_update(10, 10.0)) == 5.0
    assert FedNova(weighting="uniform").weight(_update(10, 10.0)) == 1.0


@pytest.mark.parametrize("stated", [0.0, -3.0, 9.99, 65.0, 1e12, float("nan")])
def test_a_number_that_is_not_that_of_the_steps_is_refused(stated: float) -> None:
    """Ten steps of AdamW are ten."""
    with pytest.raises(UpdateError, match="site north: expected the metric effective_steps = 10 after 10 steps, got"):
        check_effective_steps(_update(10, stated), AdamW())
    check_effective_steps(_update(10, 10.0), AdamW())


def test_one_site_does_not_move_the_median_of_the_numbers() -> None:
    """Five sites with five steps, and one that says a thousand."""
    fold = MetricsMedian()
    for stated, weight in ((5.0, 1.0), (5.0, 1.0), (5.0, 1.0), (5.0, 1.0), (1000.0, 1e6)):
        fold.add({EFFECTIVE_STEPS: stated}, weight)
    assert fold.result() == {EFFECTIVE_STEPS: 5.0}
