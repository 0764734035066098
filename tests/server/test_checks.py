"""Checks before folding. Oracle: planted faults, one at a time; the clean update passes."""

import dataclasses

import pytest
import torch

from medfed.config import parse_scenario
from medfed.errors import UpdateError
from medfed.messages import SiteInfo
from medfed.results import Estimate, Evaluation
from medfed.types import Update
from server.checks import check_evaluation, check_extras, check_info, check_update
from server.quorum import required

WEIGHTS = {"w": torch.zeros(2, 2), "n": torch.zeros(1, dtype=torch.int64)}
CLEAN = Update("a", {"w": torch.ones(2, 2), "n": torch.ones(1, dtype=torch.int64)}, 5, 2, {})


def test_a_clean_update_passes() -> None:
    check_update(CLEAN, WEIGHTS, 5, 4)


def test_large_finite_values_pass_although_their_sum_overflows() -> None:
    check_update(dataclasses.replace(CLEAN, tensors=CLEAN.tensors | {"w": torch.full((2, 2), 3e38)}), WEIGHTS, 5, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tensors": {"w": torch.ones(2, 2)}}, "missing \\['n'\\]"),
        ({"tensors": CLEAN.tensors | {"x": torch.ones(1)}}, "unknown \\['x'\\]"),
        ({"tensors": CLEAN.tensors | {"w": torch.ones(4)}}, "expected \\(2, 2\\) float32, got \\(4,\\) float32"),
        ({"tensors": CLEAN.tensors | {"w": torch.ones(2, 2, dtype=torch.float64)}}, "got \\(2, 2\\) float64"),
        ({"tensors": CLEAN.tensors | {"w": torch.tensor([[1.0, float("nan")], [0, 0]])}}, "NaN or Inf"),
        ({"tensors": CLEAN.tensors | {"w": torch.tensor([[float("inf"), -float("inf")], [0, 0]])}}, "NaN or Inf"),
        ({"num_examples": -19}, "got -19 and 2"),
        ({"num_examples": 0}, "got 0 and 2"),
        ({"num_examples": 10**12}, r"from 1 to 5 \(what it joined with\).*got 1000000000000"),
        ({"num_steps": 10**12}, "got 5 and 1000000000000"),
        ({"num_steps": 0}, "num-steps from 1 to 4, got 5 and 0"),
    ],
)
def test_faults_are_named(change: dict, said: str) -> None:
    with pytest.raises(UpdateError, match=said) as fault:
        check_update(dataclasses.replace(CLEAN, **change), WEIGHTS, 5, 4)
    assert "site a" in str(fault.value)


@pytest.mark.parametrize(
    ("extras", "said"),
    [
        ({}, "expected extra tensors \\['control'\\], got \\[\\]"),
        ({"control": {}, "more": {}}, "got \\['control', 'more'\\]"),
        ({"control": {"x": torch.ones(1)}}, "not one for each trained entry: \\['w', 'x'\\]"),
        ({"control": {}}, "not one for each trained entry: \\['w'\\]"),
        ({"control": {"w": torch.ones(3)}}, 'extra tensors "control": tensor "w"'),
        ({"control": {"w": torch.full((2, 2), float("nan"))}}, "NaN"),
    ],
)
def test_extra_tensors_must_be_those_of_the_strategy(extras: dict, said: str) -> None:
    check_extras(
        dataclasses.replace(CLEAN, extras={"control": {"w": torch.ones(2, 2)}}), ("control",), {"w": WEIGHTS["w"]}
    )
    with pytest.raises(UpdateError, match=said):
        check_extras(dataclasses.replace(CLEAN, extras=extras), ("control",), {"w": WEIGHTS["w"]})


SCENARIO = parse_scenario("""
    name = "checks"
    model = "small_cnn"
    task = { kind = "classification", classes = ["a", "b"] }
    data = { image_size = 28 }
    training = { rounds = 1, local_steps = 1, batch_size = 1, loss = "cross_entropy" }
""")
GOOD = Estimate(value=0.5, low=0.4, high=0.6, n=3, se=0.1)
METRICS = dict.fromkeys(("auroc", "balanced_accuracy", "accuracy", "ece", "loss"), GOOD)
EVALUATION = Evaluation(metrics=METRICS, per_class={"a": {"recall": GOOD}}, num_images=3)


def test_possible_metrics_pass() -> None:
    large_loss = METRICS | {"loss": GOOD.model_copy(update={"value": 70.0, "high": 90.0})}
    check_evaluation("s", EVALUATION.model_copy(update={"metrics": large_loss}), SCENARIO, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": {"dice": GOOD}}, "expected metrics accuracy, auroc"),
        ({"metrics": METRICS | {"accuracy": GOOD.model_copy(update={"value": 7.0})}}, '"accuracy" cannot be'),
        ({"metrics": METRICS | {"ece": GOOD.model_copy(update={"low": 0.7})}}, '"ece" cannot be'),
        ({"metrics": METRICS | {"auroc": GOOD.model_copy(update={"n": 0})}}, '"auroc" cannot be'),
        ({"per_class": {"a": {"recall": GOOD.model_copy(update={"value": -1.0})}}}, '"recall" cannot be'),
        ({"per_class": {"<b>": {}}}, "unknown classes"),
        ({"num_images": 0}, r"of 3 images \(what it joined with\), 1 at least; got 0"),
        ({"num_images": 2}, "of 3 images .* got 2"),
        ({"num_images": 10**12}, "of 3 images .* got 1000000000000"),
        ({"metrics": METRICS | {"auroc": GOOD.model_copy(update={"n": 4})}}, '"auroc" cannot be'),
    ],
)
def test_impossible_metrics_are_named(change: dict, said: str) -> None:
    with pytest.raises(UpdateError, match=said):
        check_evaluation("s", EVALUATION.model_copy(update=change), SCENARIO, 3)


@pytest.mark.parametrize("counts", [(1,), (1, 2, 3), (-1, 2)])
def test_impossible_introductions_are_named(counts: tuple[int, ...]) -> None:
    check_info(SiteInfo("s", 3, 0, 0, (1, 2)), SCENARIO)
    with pytest.raises(UpdateError, match="site s: expected 2 class counts"):
        check_info(SiteInfo("s", 3, 0, 0, counts), SCENARIO)


def test_a_claim_above_the_cap_is_named_where_counts_weigh() -> None:
    capped = SCENARIO.replace(**{"federation.strategy": {"name": "fedprox", "max_examples": 500}})
    check_info(SiteInfo("s", 500, 0, 0, (250, 250)), capped)
    with pytest.raises(
        UpdateError, match=r"site s: says that it has 501 .* at most 500 \(federation\.strategy\.max_ex"
    ):
        check_info(SiteInfo("s", 501, 0, 0, (250, 251)), capped)
    for equal in ({"name": "fedavg", "weighting": "uniform", "max_examples": 500}, {"name": "scaffold"}):
        check_info(SiteInfo("s", 501, 0, 0, (250, 251)), SCENARIO.replace(**{"federation.strategy": equal}))


@pytest.mark.parametrize(
    ("quorum", "num_sites", "expected"), [(0.55, 100, 55), (0.5, 3, 2), (0.01, 3, 1), (1.0, 7, 7), (0.1, 10, 1)]
)
def test_the_quorum_by_hand(quorum: float, num_sites: int, expected: int) -> None:
    assert required(quorum, num_sites) == expected
