"""FoolsGold and its sketch. Oracles: algorithm 1 written out in loops, by hand, exact isometry, unbiasedness."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.aggregation.foolsgold import FoolsGold, cosines, foolsgold_weights
from robustness.aggregation.gram import gram
from robustness.aggregation.sketch import DIMENSION, signs, sketch
from tests.robustness.aggregation.rows import BufferedRows, apply, apply_to, normal


def _algorithm_1(cosine, confidence):
    """The paper's loops; cosines below 0 count as 0."""
    n = len(cosine)
    cs = [[max(0.0, cosine[i][j]) for j in range(n)] for i in range(n)]
    v = [max(cs[i][j] for j in range(n) if j != i) for i in range(n)]
    alpha = []
    for i in range(n):
        worst = 0.0
        for j in range(n):
            if j != i:
                worst = max(worst, cs[i][j] * v[i] / v[j] if v[j] > v[i] else cs[i][j])
        alpha.append(1.0 - worst)
    top = max(alpha)
    out = []
    for value in alpha:
        share = value / top
        logit = math.inf if share >= 1.0 else -math.inf if share <= 0.0 else math.log(share / (1.0 - share))
        out.append(min(1.0, max(0.0, confidence * (logit + 0.5))))
    return out


@settings(max_examples=25)
@given(num_sites=st.integers(2, 8), num_values=st.integers(2, 6), seed=st.integers(0, 99), confidence=st.floats(0.2, 3))
def test_weights_equal_algorithm_1(num_sites, num_values, seed, confidence):
    cosine = cosines(gram(BufferedRows(normal(num_sites, num_values, seed))))
    found = foolsgold_weights(cosine, confidence).tolist()
    np.testing.assert_allclose(found, _algorithm_1(cosine.tolist(), confidence), rtol=1e-9, atol=1e-9)


def test_copies_lose_all_weight_and_the_others_keep_it():
    matrix = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 5.0], [0.0, 0.0, 5.0], [0.0, 0.0, 5.0]])
    assert apply(FoolsGold(), matrix).tolist() == [0.5, 0.5, 0.0]


def test_a_site_that_says_nothing_is_no_copy_of_another():
    matrix = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert foolsgold_weights(cosines(gram(BufferedRows(matrix))), 1.0).tolist() == [1.0, 1.0, 1.0]


def test_copies_are_found_by_their_history_though_each_round_differs():
    """Two sybils add opposite noise in each round; only the sums show that they push the same way."""
    generator, state, push = torch.Generator().manual_seed(0), {}, torch.tensor([3.0, 0.0, 0.0, 0.0])
    for _ in range(20):
        honest, noise = torch.randn(2, 4, generator=generator), torch.randn(4, generator=generator)
        honest[0, 1] += 3.0
        honest[1, 2] += 3.0
        rows = BufferedRows(torch.stack([honest[0], honest[1], push + noise, push - noise]))
        out, state = apply_to(FoolsGold(), rows, state)
    assert out[0] < 0.5 * rows.matrix[:, 0].mean()


def test_a_site_that_sits_a_round_out_keeps_its_sum():
    rule, names = FoolsGold(), ("a", "b", "c")
    _, state = apply_to(rule, BufferedRows(normal(3, 9), sites=names))
    _, after = apply_to(rule, BufferedRows(normal(2, 9, seed=1), sites=("a", "c")), state)
    assert torch.equal(after["b"], state["b"])
    torch.testing.assert_close(after["a"], sketch(BufferedRows(normal(3, 9)[:1] + normal(2, 9, seed=1)[:1]))[0])


@settings(max_examples=25)
@given(num_values=st.integers(1, 60), seed=st.integers(0, 99), width=st.integers(1, 60))
def test_a_sketch_of_few_values_keeps_inner_products_exactly(num_values, seed, width):
    rows = BufferedRows(normal(3, num_values, seed), width)
    short = sketch(rows, dimension=64)
    assert torch.equal(short.abs(), rows.matrix.abs())
    assert torch.equal(short, rows.matrix * signs(0, num_values))


def test_a_sketch_of_many_values_folds_them_in_buckets_whatever_the_chunks():
    matrix = normal(2, 100)
    signed = torch.cat([matrix * signs(0, 100), torch.zeros(2, 20)], dim=1)
    expected = signed.reshape(2, 6, 20).sum(dim=1)
    for width in (1, 7, 20, 33, 100):
        torch.testing.assert_close(sketch(BufferedRows(matrix, width), dimension=20), expected)


def test_a_sketch_of_many_values_keeps_cosines_within_its_error():
    """Standard deviation 1 / sqrt(D) = 0.004; five of them."""
    matrix = normal(4, 3 * DIMENSION + 5)
    matrix[1] += matrix[0]
    exact, short = cosines(gram(BufferedRows(matrix, DIMENSION))), sketch(BufferedRows(matrix, DIMENSION - 1))
    assert short.shape == (4, DIMENSION)
    torch.testing.assert_close(cosines(gram(BufferedRows(short, DIMENSION))), exact, rtol=0, atol=5 / DIMENSION**0.5)


def test_signs_are_balanced_uncorrelated_and_the_same_from_anywhere():
    values = signs(0, 100_000)
    assert set(values.tolist()) == {-1.0, 1.0}
    assert values.mean().abs() < 5 / 100_000**0.5
    for lag in (1, 2, 64, 50_000):
        assert (values[lag:] * values[:-lag]).mean().abs() < 5 / (100_000 - lag) ** 0.5
    assert torch.equal(signs(777, 999), values[777:999])
