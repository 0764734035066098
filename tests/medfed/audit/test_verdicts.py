"""The verdict rules. Oracles: laws (hypothesis), scipy's exact binomial test, figures by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from medfed.audit.results import Check, Finding, PositiveControl, SectionResult, census, share
from medfed.audit.verdicts import (
    Verdict,
    clopper_pearson,
    judge,
    mean_n_to_decide,
    section_verdict,
    share_n_to_decide,
    worst,
)
from medfed.results import Estimate

NUMBERS = st.floats(-1e6, 1e6)
INTERVALS = st.tuples(NUMBERS, NUMBERS).map(sorted)
VERDICTS = st.lists(st.sampled_from(list(Verdict)), max_size=5)
COUNTS = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(INTERVALS)
def test_the_verdict_flips_exactly_at_the_bounds(ends):
    low, high = ends
    assert judge(low, high, low) is Verdict.PASS
    assert judge(low, high, math.nextafter(low, math.inf)) is not Verdict.PASS
    assert judge(low, high, high) is not Verdict.FAIL
    assert judge(low, high, math.nextafter(high, math.inf)) is Verdict.FAIL


@given(INTERVALS)
def test_at_most_is_the_mirror_image(ends):
    low, high = ends
    assert judge(low, high, high, "at_most") is Verdict.PASS
    assert judge(low, high, math.nextafter(high, -math.inf), "at_most") is not Verdict.PASS
    assert judge(low, high, low, "at_most") is not Verdict.FAIL
    assert judge(low, high, math.nextafter(low, -math.inf), "at_most") is Verdict.FAIL


def test_without_an_interval_nothing_is_decided():
    assert judge(None, None, 0.5) is Verdict.INCONCLUSIVE
    assert judge(0.9, None, 0.5) is Verdict.INCONCLUSIVE


@given(COUNTS)
def test_the_interval_of_a_share_is_that_of_scipy(counts):
    k, n = counts
    expected = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert clopper_pearson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(("n", "low", "high"), [(64, 0.37, 0.63), (256, 0.44, 0.56), (1000, 0.47, 0.53)])
def test_published_intervals_at_one_half(n, low, high):
    assert clopper_pearson(n // 2, n) == pytest.approx((low, high), abs=0.006)


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_no_such_share(k, n):
    with pytest.raises(ValueError, match="successes"):
        clopper_pearson(k, n)


@given(st.floats(0.02, 0.98), st.floats(0.02, 0.98), st.sampled_from(["at_least", "at_most"]))
def test_the_n_that_is_named_decides_and_one_less_does_not(value, threshold, direction):
    n = share_n_to_decide(value, threshold, direction)
    if n is None:
        assert abs(value - threshold) < 1e-3
        return
    assert judge(*clopper_pearson(value * n, n), threshold, direction) is not Verdict.INCONCLUSIVE
    if n > 1:
        assert judge(*clopper_pearson(value * (n - 1), n - 1), threshold, direction) is Verdict.INCONCLUSIVE


def test_a_share_on_its_threshold_is_never_decided():
    assert share_n_to_decide(0.5, 0.5) is None
    assert mean_n_to_decide(0.5, 0.4, 0.6, 100, 0.5) is None


@given(st.floats(0.0, 0.9), st.floats(0.01, 0.5), st.integers(2, 500), st.floats(0.0, 1.0))
def test_a_mean_is_decided_once_its_half_width_is_the_distance(value, half, n, threshold):
    needed = mean_n_to_decide(value, value - half, value + half, n, threshold)
    if needed is None:
        return
    distance = abs(value - threshold)
    assert half * math.sqrt(n / needed) <= distance * (1 + 1e-9)
    if needed > 1:
        assert half * math.sqrt(n / (needed - 1)) > distance * (1 - 1e-9)


@given(VERDICTS, st.booleans(), st.booleans())
def test_a_section_whose_control_does_not_hold_never_passes(verdicts, valid, holds):
    found = section_verdict(verdicts, valid, holds)
    if not valid:
        assert found is Verdict.INVALID
    elif not holds:
        assert found is not Verdict.PASS
        assert (found is worst(verdicts)) or (worst(verdicts) is Verdict.PASS and found is Verdict.INCONCLUSIVE)
    else:
        assert found is worst(verdicts)


@given(VERDICTS)
def test_the_worst_wins_and_not_tested_never_counts(verdicts):
    order = ["ERROR", "INVALID", "FAIL", "INCONCLUSIVE", "PASS"]
    counted = [order.index(v) for v in verdicts if v != "NOT_TESTED"]
    assert worst(verdicts) == (order[min(counted)] if counted else "NOT_TESTED")


def _finding(k: int, n: int, threshold: float) -> Finding:
    return Finding(what="x", estimate=share(k, n), threshold=threshold, kind="share")


@given(COUNTS, st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.booleans())
def test_no_value_can_claim_a_verdict(counts, threshold, observed, valid):
    finding = _finding(*counts, threshold)
    control = PositiveControl(description="d", metric="m", expected=0.9, observed=observed, holds=True)
    checks = (Check(what="c", holds=valid, observed=""),)
    result = SectionResult(verdict=Verdict.PASS, findings=(finding,), positive_control=control, checks=checks)
    low, high = clopper_pearson(*counts)
    assert finding.verdict is judge(low, high, threshold)
    assert control.holds == (observed >= 0.9)
    assert result.verdict is section_verdict([finding.verdict], valid, observed >= 0.9)
    changed = result.model_dump(mode="json") | {"verdict": "PASS"}
    changed["findings"][0]["verdict"] = "PASS"
    assert SectionResult.model_validate(changed) == result


def test_an_open_share_names_the_n_and_a_census_is_always_decided():
    open_finding = _finding(50, 100, 0.55)
    assert open_finding.verdict is Verdict.INCONCLUSIVE
    assert open_finding.n_to_decide == share_n_to_decide(0.5, 0.55)
    assert _finding(90, 100, 0.55).n_to_decide is None
    whole = Finding(what="x", estimate=census(4, 5), threshold=1.0, kind="census")
    assert (whole.verdict, whole.n_to_decide) == (Verdict.FAIL, None)


def test_an_undefined_figure_is_open_and_names_no_n():
    undefined = Estimate(value=None, low=None, high=None, n=3)
    finding = Finding(what="x", estimate=undefined, threshold=0.5, kind="mean")
    assert (finding.verdict, finding.n_to_decide) == (Verdict.INCONCLUSIVE, None)
    assert _finding(0, 0, 0.5).verdict is Verdict.INCONCLUSIVE


def test_nothing_found_is_not_tested():
    assert SectionResult().verdict is Verdict.NOT_TESTED
