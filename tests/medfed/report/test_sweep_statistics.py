"""Means over seeds and paired differences. Oracles: scipy's t tests, tables of Student's t, laws."""

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given
from scipy import stats

from medfed.report.sweep_statistics import mean_over_seeds, paired_difference

figures = st.lists(st.integers(-1000, 1000).map(lambda k: k / 1000), min_size=2, max_size=8)


@given(figures)
def test_interval_is_that_of_scipys_one_sample_t_test(values: list[float]) -> None:
    if len(set(values)) == 1:  # scipy warns of a standard deviation of 0
        return
    found = mean_over_seeds(values)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert found.n == len(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_two_and_three_seeds_by_hand() -> None:
    """Tables: t(0.975; 1) = 12.706, t(0.975; 2) = 4.303; s = sqrt(0.02) and 0.1."""
    two = mean_over_seeds([0.4, 0.6])
    assert two.value == pytest.approx(0.5)
    assert two.high == pytest.approx(0.5 + 12.706 * math.sqrt(0.02 / 2), abs=1e-4)
    three = mean_over_seeds([0.4, 0.5, 0.6])
    assert three.low == pytest.approx(0.5 - 4.303 * 0.1 / math.sqrt(3), abs=1e-4)
    assert three.se == pytest.approx(0.1 / math.sqrt(3))


def test_a_bounded_quantity_has_a_bounded_interval() -> None:
    found = mean_over_seeds([0.4, 0.9], bounded=True)
    assert (found.low, found.high) == (0.0, 1.0)


def test_equal_values_have_an_interval_without_width() -> None:
    found = mean_over_seeds([0.5, 0.5, 0.5])
    assert found.low == found.value == found.high == 0.5


def test_one_value_has_no_interval_and_none_no_value() -> None:
    one, none = mean_over_seeds([0.5]), mean_over_seeds([])
    assert (one.value, one.low, one.high, one.n) == (0.5, None, None, 1)
    assert (none.value, none.low, none.n) == (None, None, 0)


@given(st.dictionaries(st.integers(1, 9), st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2))
def test_paired_difference_is_that_of_scipys_paired_t_test(pairs: dict[int, tuple[float, float]]) -> None:
    ours, theirs = ({seed: pair[k] for seed, pair in pairs.items()} for k in (0, 1))
    found = paired_difference(ours, theirs)
    back = paired_difference(theirs, ours)
    assert found.value == pytest.approx(-(back.value or 0.0))
    assert (found.low, found.high) == pytest.approx((-(back.high or 0.0), -(back.low or 0.0)))
    if found.se and found.se > 1e-6:
        order = sorted(pairs)
        expected = stats.ttest_rel([ours[s] for s in order], [theirs[s] for s in order]).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_only_common_seeds_are_paired() -> None:
    found = paired_difference({1: 0.5, 2: 0.75, 3: 9.0}, {2: 0.5, 1: 0.5, 4: -9.0})
    assert (found.value, found.n) == (0.125, 2)
    assert paired_difference({1: 0.5}, {2: 0.5}).value is None
