"""Rules on distances: one pass gives all inner products, the rule works on those alone, one pass combines the rows.

For z = sum_i a_i x_i, every distance ||x_i - z|| follows from the n x n Gram matrix and the coefficients a, so that an
iterative rule costs two passes, whatever its number of steps.

Inner products are summed in float64: that of rows i and j is wrong by about 1e-16 |x_i| |x_j|. So a huge row spoils no
distance between others, while rows that share a part c lose distances below 1e-8 |c|: updates are differences from the
global weights and share little. No row is subtracted before the products, since it could be the attacker's.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from robustness.aggregation.columns import over_chunks
from robustness.aggregation.contract import Rows

BLOCK = 1000
"""Columns converted at once: 100 rows of them in float64 are 800 kB, which fits in a second-level cache."""

Gram = Float64[Tensor, "site site"]
Coefficients = Float64[Tensor, " site"]


def gram(rows: Rows) -> Gram:
    """``x_i . x_j`` for all pairs of rows, in one pass."""
    num_sites = len(rows.sites)
    products = torch.zeros(num_sites, num_sites, dtype=torch.float64)
    for chunk in rows.chunks():
        for block in torch.split(chunk, BLOCK, dim=1):
            values = block.double()
            products.addmm_(values, values.t())
    return products


def squared_distances(products: Gram) -> Gram:
    """``||x_i - x_j||^2 = G_ii + G_jj - 2 G_ij``, never below 0."""
    squares = products.diagonal()
    return (squares[:, None] + squares[None, :] - 2.0 * products).clamp_(min=0.0).fill_diagonal_(0.0)


def distances_to(products: Gram, coefficients: Coefficients) -> Coefficients:
    """``||x_i - z||`` for every row, z = sum_j a_j x_j: ``G_ii - 2 (G a)_i + a . G a`` under the root."""
    inner = products @ coefficients
    squares = products.diagonal() - 2.0 * inner + coefficients @ inner
    return squares.clamp_(min=0.0).sqrt_()


def combine(rows: Rows, coefficients: Coefficients) -> Float[Tensor, " value"]:
    """``sum_i a_i x_i``, float32, in one pass; a row with coefficient 1 among zeros comes out as it is."""
    weights = coefficients.float()
    return over_chunks(rows, lambda chunk: weights @ chunk)
