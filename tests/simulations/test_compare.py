"""Comparison with the baselines. Oracles: figures by hand."""

import pytest

from medfed.results import Estimate, Metrics, SiteSummary
from simulations.baselines.compare import shares


def metrics(**values: float | None) -> Metrics:
    return {name: Estimate(value=value, low=None, high=None, n=1) for name, value in values.items()}


def site(federated: Metrics | None, pooled: Metrics | None) -> SiteSummary:
    return SiteSummary(num_train=1, num_val=1, num_test=1, class_counts={}, federated=federated, pooled=pooled)


CROSS = {
    "a": {"a": metrics(dice=0.8, loss=0.8), "b": metrics(dice=0.2, loss=1.2)},
    "b": {"a": metrics(dice=0.1, loss=0.7), "b": metrics(dice=0.7, loss=0.5)},
}
"""Means over both sites: a .5 and 1.0, b .4 and .6."""


def sites_with(federated: float | None, pooled: float | None) -> dict[str, SiteSummary]:
    one = site(metrics(dice=federated, loss=0.4), metrics(dice=pooled, loss=0.2))
    return {"a": one, "b": one}


def test_the_best_local_model_is_chosen_per_metric_in_its_own_direction() -> None:
    best, _ = shares(sites_with(0.6, 0.9), CROSS)
    assert best == {"dice": "a", "loss": "b"}


@pytest.mark.parametrize(
    ("federated", "pooled", "expected"),
    [(0.86, 0.90, 0.9), (0.5, 0.9, 0.0), (0.95, 0.9, 1.125), (0.45, 0.9, -0.125), (0.6, 0.5, None), (None, 0.9, None)],
)
def test_share_of_the_gap(federated: float | None, pooled: float, expected: float | None) -> None:
    _, closed = shares(sites_with(federated, pooled), CROSS)
    assert closed["dice"] == (None if expected is None else pytest.approx(expected))
    assert closed["loss"] == pytest.approx(0.5)  # from 0.6 down to 0.4, of the way to 0.2


def test_a_site_without_a_value_is_left_out_for_every_model() -> None:
    sites = sites_with(0.6, 0.9) | {"b": site(metrics(dice=None, loss=0.4), metrics(dice=0.95, loss=0.2))}
    best, closed = shares(sites, CROSS)
    assert best["dice"] == "a"
    assert closed["dice"] == pytest.approx((0.6 - 0.8) / (0.9 - 0.8))  # at site a alone


def test_a_site_whose_final_test_failed_takes_no_part() -> None:
    one = {"a": sites_with(0.85, 0.9)["a"]}
    assert shares(one, CROSS)[1]["dice"] == pytest.approx((0.85 - 0.8) / (0.9 - 0.8))


@pytest.mark.parametrize(("sites", "cross"), [({}, CROSS), (sites_with(0.6, 0.9), {}), (sites_with(None, None), {})])
def test_without_models_there_is_nothing_to_share(sites: dict, cross: dict) -> None:
    assert shares(sites, cross) == ({}, {})


def test_undefined_everywhere_is_no_share() -> None:
    nothing = {"a": {"a": metrics(auroc=None)}}
    _, closed = shares({"a": site(metrics(auroc=None), metrics(auroc=None))}, nothing)
    assert closed.get("auroc") is None
