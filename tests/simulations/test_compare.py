"""Comparison with the baselines. Oracles: figures by hand."""

import pytest

from medfed.results import Estimate, MeanSummary, Metrics
from simulations.compare import best_local, gaps_closed


def metrics(**values: float | None) -> Metrics:
    return {name: Estimate(value=value, low=None, high=None, n=1) for name, value in values.items()}


EVERYWHERE = {"a": metrics(dice=0.5, loss=1.0), "b": metrics(dice=0.4, loss=0.6)}


def test_the_best_local_model_is_chosen_per_metric_in_its_own_direction() -> None:
    assert best_local(EVERYWHERE) == {"dice": "a", "loss": "b"}


def test_undefined_metrics_have_no_best_model() -> None:
    assert best_local({"a": metrics(auroc=None), "b": metrics(auroc=None)}) == {}


@pytest.mark.parametrize(
    ("federated", "pooled", "expected"),
    [(0.86, 0.90, 0.9), (0.5, 0.9, 0.0), (0.95, 0.9, 1.125), (0.45, 0.9, -0.125), (0.6, 0.5, None), (None, 0.9, None)],
)
def test_share_of_the_gap(federated: float | None, pooled: float, expected: float | None) -> None:
    mean = MeanSummary(federated=metrics(dice=federated, loss=0.4), pooled=metrics(dice=pooled, loss=0.2))
    closed = gaps_closed(mean, EVERYWHERE, {"dice": "a", "loss": "b"})
    assert closed["dice"] == (None if expected is None else pytest.approx(expected))
    assert closed["loss"] == pytest.approx(0.5)  # from 0.6 down to 0.4, of the way to 0.2
