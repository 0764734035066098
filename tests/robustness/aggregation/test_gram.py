"""Geometry from inner products. Oracle: the same quantities computed directly on the vectors in float64."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from robustness.aggregation.gram import BLOCK, combine, distances_to, gram, squared_distances
from tests.robustness.aggregation.rows import BufferedRows, normal

WIDE = 2 * BLOCK + 17


def test_inner_products_and_distances():
    matrix = normal(5, WIDE)
    products = gram(BufferedRows(matrix, BLOCK + 5))
    torch.testing.assert_close(products, matrix.double() @ matrix.double().t(), rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(squared_distances(products), torch.cdist(matrix.double(), matrix.double()) ** 2)


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_distances_to_a_combination(values):
    matrix, coefficients = normal(4, 30).double(), torch.tensor(values, dtype=torch.float64)
    expected = (matrix - coefficients @ matrix).norm(dim=1)
    products = gram(BufferedRows(matrix.float()))
    torch.testing.assert_close(distances_to(products, coefficients), expected, rtol=1e-6, atol=1e-6)


def test_equal_rows_have_no_distance_or_one_lost_in_rounding():
    matrix = normal(1, WIDE).expand(3, -1)
    products = gram(BufferedRows(matrix))
    assert squared_distances(products).max() <= 1e-12 * products.max()
    assert (squared_distances(products).diagonal() == 0.0).all()


def test_a_huge_row_spoils_no_distance_between_others():
    matrix = normal(4, 50)
    before = squared_distances(gram(BufferedRows(matrix)))
    matrix[0] = 1e18
    after = squared_distances(gram(BufferedRows(matrix)))
    torch.testing.assert_close(after[1:, 1:], before[1:, 1:], rtol=0, atol=0)


def test_a_large_common_part_costs_what_the_docstring_says():
    """Distances of size 1 beside a common part of 1e4: float32 itself loses 1e-3 there, the inner products 1e-8."""
    matrix = normal(4, 1) * torch.eye(4) + 1e4 / 2  # four values of 5e3: norm 1e4
    direct = torch.cdist(matrix.double(), matrix.double(), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(squared_distances(gram(BufferedRows(matrix))).sqrt(), direct, rtol=1e-6, atol=1e-6)


def test_combine_is_the_linear_combination_and_one_row_comes_out_as_it_is():
    rows = BufferedRows(normal(6, 40))
    coefficients = torch.linspace(-1.0, 1.0, 6, dtype=torch.float64)
    torch.testing.assert_close(combine(rows, coefficients), (coefficients @ rows.matrix.double()).float())
    assert torch.equal(combine(rows, torch.eye(6, dtype=torch.float64)[3]), rows.matrix[3])
