"""What the section on performance decides on. Oracles: figures by hand, the intervals' own formulas, planted sites."""

import math
from pathlib import Path

import pytest

from medfed.audit.intervals import auroc_ends, mean_ends, share_ends, simultaneous
from medfed.audit.opening import open_run
from medfed.audit.performance import _by_site
from medfed.audit.scored import Scored
from medfed.audit.training_images import OldAndNew
from medfed.results import Estimate, Evaluation
from tests.medfed.audit.small_run import SITES


def _site(auroc: float, num: int, patients_of_class: int | None = None) -> Scored:
    """A site with ``num`` test images of each of two classes, of so many patients; its bootstrap saw no doubt."""
    each = Estimate(value=auroc, low=auroc, high=auroc, n=2 * num, se=0.0)
    count = num if patients_of_class is None else patients_of_class
    owners = tuple(tuple(f"{name}{i % count}" for i in range(num)) for name in "ab")
    per_class = {name: {"auroc": each, "recall": each} for name in "ab"}
    metrics = {"auroc": each, "balanced_accuracy": each, "accuracy": each, "dice": each}
    return Scored(
        Evaluation(metrics=metrics, per_class=per_class, num_images=2 * num), ("a", "b"), owners, sum(owners, ())
    )


def _verdicts(threshold: float, **sites: Scored) -> list[str]:
    return [finding.verdict for finding in _by_site(sites, "auroc", threshold)]


def test_below_ten_patients_of_a_class_nothing_is_decided():
    assert _verdicts(0.5, few=_site(1.0, 9), many=_site(1.0, 40)) == ["INCONCLUSIVE", "PASS"]
    assert _verdicts(0.5, few=_site(0.0, 9), many=_site(0.0, 40)) == ["INCONCLUSIVE", "FAIL"]
    assert _verdicts(0.5, slices=_site(1.0, 400, patients_of_class=9)) == ["INCONCLUSIVE"]


def test_ten_perfect_answers_of_each_class_are_no_proof_of_an_auroc_of_nearly_one():
    (finding,) = _by_site({"a": _site(1.0, 10)}, "auroc", 0.95)
    assert (finding.estimate.low, finding.estimate.high) == auroc_ends(1.0, 10, 10, 0.95)
    assert finding.verdict == "INCONCLUSIVE"


def test_the_intervals_of_all_sites_hold_at_once():
    """0.66 on 30 images of a class fails an only site, not one of eight: the worst of eight is that low by chance."""
    assert _verdicts(0.8, a=_site(0.66, 30)) == ["FAIL"]
    sites = {name: _site(0.66 if name == "a" else 0.8, 30) for name in "abcdefgh"}
    assert "FAIL" not in _verdicts(0.8, **sites)
    assert _verdicts(0.8, **sites | {"a": _site(0.5, 30)})[0] == "FAIL"


@pytest.mark.parametrize("metric", ["auroc", "balanced_accuracy", "accuracy", "dice"])
def test_every_headline_metric_keeps_a_width_at_one(metric: str):
    found = _site(1.0, 12).estimate(metric)
    assert (found.value, found.high) == (1.0, pytest.approx(1.0))
    assert 0.7 < found.low < 0.95


def test_the_intervals_are_those_of_their_formulas():
    site = _site(0.9, 20)
    low = share_ends(0.9, 20, 0.95)[0]
    assert site.estimate("accuracy").low == share_ends(0.9, 40, 0.95)[0]
    assert site.estimate("balanced_accuracy").low == pytest.approx(0.9 - (0.9 - low) / math.sqrt(2))
    assert site.estimate("dice").low == mean_ends(0.9, 0.0, 40, 0.95)[0]
    grouped = _site(0.9, 20, patients_of_class=10)
    assert grouped.estimate("auroc").low == auroc_ends(0.9, 10, 10, 0.95)[0]
    assert grouped.estimate("accuracy").low == share_ends(0.9, 20, 0.95)[0]


def test_an_undefined_figure_stays_undefined():
    empty = Evaluation(metrics={"auroc": Estimate(value=None, low=None, high=None, n=40)}, num_images=40)
    found = Scored(empty, ("a", "b"), (("p",) * 40, ()), ("p",) * 40)
    assert found.estimate("auroc").low is None


def _around(value: float, below: float, above: float | None = None) -> Estimate:
    return Estimate(value=value, low=value - below, high=value + (below if above is None else above), n=10)


def test_the_gap_is_a_mean_of_differences_and_its_distances_add_in_squares():
    trained = {"a": _around(0.9, 0.03), "b": _around(0.8, 0.04)}
    tested = {"a": _around(0.7, 0.01, 0.12), "b": _around(0.5, 0.02, 0.0), "untrained": _around(0.1, 0.0)}
    found = OldAndNew("auroc", trained, tested, False, {}).gap()
    assert found.value == pytest.approx(0.25)
    assert found.low == pytest.approx(0.25 - math.sqrt(0.03**2 + 0.04**2 + 0.12**2) / 2)
    assert found.high == pytest.approx(0.25 + math.sqrt(0.03**2 + 0.04**2 + 0.01**2 + 0.02**2) / 2)
    shared = OldAndNew("auroc", trained, {"all": _around(0.7, 0.06)}, True, {}).gap()
    assert (shared.value, shared.low) == pytest.approx((0.15, 0.15 - 0.065))  # the root of .025^2 + .06^2


def test_a_gap_may_be_negative_or_unknown():
    one = {"a": _around(0.6, 0.01)}
    assert OldAndNew("auroc", one, {"a": _around(0.9, 0.01)}, False, {}).gap().value < 0
    assert OldAndNew("auroc", one, {}, False, {}).gap().value is None
    assert OldAndNew("auroc", {}, one, False, {}).findings(0.8, 0.1) == ()
    few = OldAndNew("auroc", one, {"a": _around(0.5, 0.01)}, False, {}, enough=False).findings(0.8, 0.1)
    assert [finding.verdict for finding in few] == ["INCONCLUSIVE"]


def _beside(**values: float) -> OldAndNew:
    trained = {name: _around(value, 0.06) for name, value in values.items()}
    return OldAndNew("auroc", trained, {}, False, trained)


def test_a_site_is_contradicted_where_the_model_misses_it_and_not_the_others():
    both = _beside(a=0.5, b=0.9, c=0.95)
    assert both.contradicted(0.8) == ["a"]
    assert both.findings(0.8, 0.1)[1].estimate.value == pytest.approx(1 / 3)
    assert both.findings(0.8, 0.1)[1].verdict == "FAIL"
    assert _beside(a=0.82, b=0.97, c=0.97).contradicted(0.8) == []  # worse than the others, and good enough
    assert _beside(a=0.55, b=0.55, c=0.55).contradicted(0.8) == []  # it has learned nothing anywhere
    assert (
        OldAndNew("auroc", both.trained, {}, False, {name: both.trained[name] for name in "bc"}).contradicted(0.8) == []
    )


def test_sites_set_beside_each_other_have_intervals_that_hold_at_once(small_run: Path):
    context, _ = open_run(small_run, None, lambda what, done: None)
    sites = {name: _site(0.7, 20) for name in SITES} | {"few": _site(0.1, 9)}
    found = OldAndNew.of(context, sites, sites)
    assert found.trained["few"].low == pytest.approx(auroc_ends(0.1, 9, 9, 0.95)[0])
    assert found.beside.keys() == set(SITES)
    low = auroc_ends(0.7, 20, 20, simultaneous(3))[0]
    assert [each.low for each in found.beside.values()] == pytest.approx([low] * 3)
    assert found.enough
    assert not OldAndNew.of(context, {"few": sites["few"]}, sites).enough
