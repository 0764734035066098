"""Median and trimmed mean. Oracles: numpy, scipy, Flower's own rules, by hand, and the range of the honest values."""

import numpy as np
import pytest
import torch
from flwr.server.strategy.aggregate import aggregate_median, aggregate_trimmed_avg
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import trim_mean

from robustness.aggregation import columns
from robustness.aggregation.median import CoordinateMedian, coordinate_median
from robustness.aggregation.trimmed_mean import TrimmedMean, trimmed_mean
from tests.robustness.aggregation.rows import apply, normal


def test_median_by_hand():
    matrix = torch.tensor([[1.0, -5.0], [9.0, 0.0], [2.0, 7.0]])
    assert coordinate_median(matrix).tolist() == [2.0, 0.0]
    assert coordinate_median(matrix[:2]).tolist() == [5.0, -2.5]


def test_trimmed_mean_by_hand():
    assert trimmed_mean(torch.tensor([[100.0], [1.0], [3.0], [-100.0]]), 1).tolist() == [2.0]


@settings(max_examples=25)
@given(num_sites=st.integers(1, 30), num_values=st.integers(1, 50), seed=st.integers(0, 99))
def test_median_equals_numpy_and_flower(num_sites, num_values, seed):
    matrix = normal(num_sites, num_values, seed)
    ours = apply(CoordinateMedian(), matrix).numpy()
    assert np.array_equal(ours, np.median(matrix.numpy(), axis=0))
    assert np.array_equal(ours, aggregate_median([([row], 1) for row in matrix.numpy()])[0])


@settings(max_examples=25)
@given(num_sites=st.integers(1, 30), num_values=st.integers(1, 50), seed=st.integers(0, 99), data=st.data())
def test_trimmed_mean_equals_scipy_and_flower(num_sites, num_values, seed, data):
    num_byzantine = data.draw(st.integers(0, (num_sites - 1) // 2))
    matrix = normal(num_sites, num_values, seed)
    ours = apply(TrimmedMean(num_byzantine=num_byzantine), matrix).numpy()
    share = (num_byzantine + 0.5) / num_sites  # both cut int(share * n): the half keeps rounding away
    rows = [([row], 1) for row in matrix.numpy()]
    np.testing.assert_allclose(ours, trim_mean(matrix.numpy(), min(share, 0.499), axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours, aggregate_trimmed_avg(rows, min(share, 0.499))[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_values", [columns.BLOCK - 1, columns.BLOCK, 2 * columns.BLOCK + 1])
def test_blocks_join_without_a_seam(num_values):
    matrix = normal(6, num_values)
    expected = np.sort(matrix.numpy(), axis=0)
    assert np.array_equal(apply(CoordinateMedian(), matrix, width=columns.BLOCK + 3), expected[2:4].mean(axis=0))


@settings(max_examples=25)
@given(
    honest=st.integers(2, 12), data=st.data(), far=st.sampled_from([-3e38, -1.0, 0.5, 3e38]), seed=st.integers(0, 99)
)
def test_byzantine_values_never_leave_the_honest_range(honest, data, far, seed):
    num_byzantine = data.draw(st.integers(1, honest - 1))
    good = normal(honest, 9, seed)
    matrix = torch.cat([torch.full((num_byzantine, 9), far), good])
    low, high = good.min(dim=0).values, good.max(dim=0).values
    for rule in (CoordinateMedian(), TrimmedMean(num_byzantine=num_byzantine)):
        out = apply(rule, matrix)
        assert (out >= low - 1e-6).all()
        assert (out <= high + 1e-6).all()


@settings(max_examples=25)
@given(shift=st.floats(-10, 10, width=32), seed=st.integers(0, 99))
def test_shifted_updates_give_a_shifted_aggregate(shift, seed):
    matrix = normal(9, 11, seed)
    for rule in (CoordinateMedian(), TrimmedMean(num_byzantine=2)):
        torch.testing.assert_close(apply(rule, matrix + shift), apply(rule, matrix) + shift, rtol=1e-4, atol=1e-5)


def test_trimming_nothing_is_the_mean():
    matrix = normal(8, 20)
    torch.testing.assert_close(apply(TrimmedMean(num_byzantine=0), matrix), matrix.mean(dim=0))
