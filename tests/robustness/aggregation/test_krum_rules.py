"""Krum, Multi-Krum and Bulyan. Oracles: Flower's own rules, direct computation, by hand."""

import numpy as np
import pytest
import torch
from flwr.server.strategy.aggregate import aggregate_bulyan, aggregate_krum
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.aggregation.bulyan import Bulyan, mean_near_median, trim_near_median
from robustness.aggregation.krum import Krum, krum_scores
from robustness.aggregation.multi_krum import MultiKrum
from tests.robustness.aggregation.rows import apply, normal


def _replies(matrix):
    return [([row], 1) for row in matrix.numpy()]


def test_scores_by_hand():
    """On a line at 0, 1, 3 and 10 with f = 1: each score is the squared distance to the nearest other."""
    points = torch.tensor([0.0, 1.0, 3.0, 10.0], dtype=torch.float64)
    squares = (points[:, None] - points[None, :]) ** 2
    assert krum_scores(squares, 1).tolist() == [1.0, 1.0, 4.0, 49.0]
    assert krum_scores(squares, 0).tolist() == [10.0, 5.0, 13.0, 130.0]


@settings(max_examples=25)
@given(num_byzantine=st.integers(0, 3), extra=st.integers(0, 6), seed=st.integers(0, 99))
def test_krum_equals_flower(num_byzantine, extra, seed):
    matrix = normal(2 * num_byzantine + 3 + extra, 13, seed)
    expected = aggregate_krum(_replies(matrix), num_byzantine, 0)[0]
    assert np.array_equal(apply(Krum(num_byzantine=num_byzantine), matrix).numpy(), expected)


@settings(max_examples=25)
@given(num_byzantine=st.integers(0, 3), extra=st.integers(0, 6), seed=st.integers(0, 99), data=st.data())
def test_multi_krum_equals_flower(num_byzantine, extra, seed, data):
    num_sites = 2 * num_byzantine + 3 + extra
    num_selected = data.draw(st.integers(1, num_sites - num_byzantine - 2))
    matrix = normal(num_sites, 13, seed)
    expected = aggregate_krum(_replies(matrix), num_byzantine, num_selected)[0]
    rule = MultiKrum(num_byzantine=num_byzantine, num_selected=num_selected)
    np.testing.assert_allclose(apply(rule, matrix).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_multi_krum_of_one_is_krum_and_its_default_leaves_out_f_and_two_more():
    matrix = normal(9, 13)
    assert torch.equal(apply(MultiKrum(num_byzantine=2, num_selected=1), matrix), apply(Krum(num_byzantine=2), matrix))
    default, five = MultiKrum(num_byzantine=2), MultiKrum(num_byzantine=2, num_selected=5)
    assert torch.equal(apply(default, matrix), apply(five, matrix))
    assert MultiKrum(num_byzantine=2, num_selected=6).min_updates() == 10


@settings(max_examples=25)
@given(num_byzantine=st.integers(0, 2), extra=st.integers(0, 6), seed=st.integers(0, 99))
def test_bulyan_equals_flower(num_byzantine, extra, seed):
    matrix = normal(4 * num_byzantine + 3 + extra, 13, seed)
    expected = aggregate_bulyan(_replies(matrix), num_byzantine, aggregate_krum, to_keep=0)[0]
    ours = apply(Bulyan(num_byzantine=num_byzantine), matrix).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_bulyan_without_byzantine_sites_is_the_mean():
    matrix = normal(7, 13)
    torch.testing.assert_close(apply(Bulyan(num_byzantine=0), matrix), matrix.mean(dim=0))


def test_values_near_the_median_by_hand():
    """Sorted 0, 4, 5, 6, 100: the three nearest to 5 are 4, 5, 6; a huge value beside them costs no digit."""
    ordered = torch.tensor([[0.0, 4.0, 5.0, 6.0, 100.0], [-3e38, 1.0, 2.0, 4.0, 3e38]])
    assert mean_near_median(ordered, 3).tolist() == pytest.approx([5.0, 7.0 / 3.0])


@settings(max_examples=25)
@given(num_sites=st.integers(1, 15), seed=st.integers(0, 99), data=st.data())
def test_values_near_the_median_equal_those_of_a_full_sort_by_distance(num_sites, seed, data):
    num_near = data.draw(st.integers(1, num_sites))
    matrix = normal(num_sites, 9, seed)
    distance = (matrix - matrix.quantile(0.5, dim=0)).abs()
    expected = matrix.gather(0, distance.argsort(dim=0)[:num_near]).mean(dim=0)
    if num_sites % 2 == 0 and num_near % 2 == 1:  # the middle two are equally near: either is right
        far = distance.sort(dim=0).values[num_near - 1]
        assert ((trim_near_median(matrix, num_near) - expected).abs() <= 2 * far / num_near + 1e-6).all()
    else:
        torch.testing.assert_close(trim_near_median(matrix, num_near), expected, rtol=1e-4, atol=1e-5)


def test_a_coordinate_hidden_in_a_near_update_passes_krum_and_not_bulyan():
    """The attack of the Bulyan paper: a twin of an honest update but for one coordinate."""
    matrix = 5.0 * normal(11, 400)
    matrix[0] = matrix[1:].mean(dim=0)  # nearest to all by far
    matrix[0, 7] = 50.0
    assert apply(Krum(num_byzantine=1), matrix)[7] == 50.0
    honest = matrix[1:, 7]
    assert honest.min() <= apply(Bulyan(num_byzantine=1), matrix)[7] <= honest.max()


@pytest.mark.parametrize("rule", [Krum(num_byzantine=2), MultiKrum(num_byzantine=2), Bulyan(num_byzantine=2)], ids=repr)
@settings(max_examples=25)
@given(shift=st.floats(-10, 10, width=32), seed=st.integers(0, 99))
def test_shifted_updates_give_a_shifted_aggregate(rule, shift, seed):
    matrix = normal(12, 11, seed)
    torch.testing.assert_close(apply(rule, matrix + shift), apply(rule, matrix) + shift, rtol=1e-4, atol=1e-4)
