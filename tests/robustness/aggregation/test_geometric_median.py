"""The geometric median. Oracles: by hand, scipy's minimiser of the sum of distances, Weiszfeld on vectors, laws."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from robustness.aggregation.geometric_median import GeometricMedian
from tests.robustness.aggregation.rows import apply, normal


def _sum_of_distances(point, matrix):
    return np.linalg.norm(matrix - point, axis=1).sum()


def _weiszfeld(matrix, smoothing, num_steps):
    point = matrix.mean(axis=0)
    for _ in range(num_steps):
        pull = 1.0 / np.maximum(np.linalg.norm(matrix - point, axis=1), smoothing)
        point = pull @ matrix / pull.sum()
    return point


def test_by_hand():
    """The Fermat point of an equilateral triangle is its centre; of three points on a line the middle one."""
    triangle = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0**0.5]])
    torch.testing.assert_close(apply(GeometricMedian(), triangle), torch.tensor([1.0, 3.0**-0.5]))
    line = torch.tensor([[0.0, 0.0], [1.0, 1.0], [9.0, 9.0]])
    torch.testing.assert_close(apply(GeometricMedian(), line), torch.tensor([1.0, 1.0]), rtol=0, atol=1e-4)


@settings(max_examples=25)
@given(num_sites=st.integers(3, 12), seed=st.integers(0, 99))
def test_no_point_has_a_smaller_sum_of_distances(num_sites, seed):
    matrix = normal(num_sites, 5, seed).double().numpy()
    best = minimize(_sum_of_distances, np.median(matrix, axis=0), args=(matrix,), tol=1e-12).fun
    found = _sum_of_distances(apply(GeometricMedian(), torch.from_numpy(matrix)).double().numpy(), matrix)
    assert found <= best * (1.0 + 1e-6)


@settings(max_examples=25)
@given(num_steps=st.integers(1, 8), seed=st.integers(0, 99), far=st.sampled_from([1.0, 1e3, 1e9]))
def test_steps_in_gram_space_are_the_steps_on_vectors(num_steps, seed, far):
    matrix = normal(7, 12, seed)
    matrix[0] *= far
    expected = _weiszfeld(matrix.double().numpy(), 1e-6, num_steps)
    found = apply(GeometricMedian(max_steps=num_steps), matrix).double().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@settings(max_examples=25)
@given(shift=st.floats(-10, 10, width=32), seed=st.integers(0, 99))
def test_shifted_updates_give_a_shifted_aggregate(shift, seed):
    matrix = normal(9, 11, seed)
    moved = apply(GeometricMedian(), matrix + shift)
    torch.testing.assert_close(moved, apply(GeometricMedian(), matrix) + shift, rtol=1e-3, atol=1e-3)


def test_a_minority_moves_it_by_no_more_than_the_bound():
    """f of n points anywhere: at most 2 (n - f) / (n - 2 f) times the honest radius (Minsker, Bernoulli 2015, 2.1)."""
    honest = normal(8, 10)
    radius = honest.norm(dim=1).max()
    for far in (1e3, 1e12, 1e18):
        out = apply(GeometricMedian(), torch.cat([honest, torch.full((3, 10), far)]))
        assert out.norm() <= radius * 2 * 8 / (11 - 6)
