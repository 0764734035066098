"""Centred and plain clipping. Oracles: the paper's loop on vectors, limits of the radius, by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.aggregation.centred_clipping import CENTRE, CentredClipping
from robustness.aggregation.norm_clipped_mean import NormClippedMean
from tests.robustness.aggregation.rows import BufferedRows, apply, apply_to, normal


def _loop(matrix, start, radius, steps):
    """v <- v + 1/n sum (x_i - v) min(1, radius / ||x_i - v||), as the paper writes it, in float64."""
    point = start.double()
    for _ in range(steps):
        apart = matrix.double() - point
        point = point + (apart * (radius / apart.norm(dim=1, keepdim=True)).clamp(max=1.0)).mean(dim=0)
    return point.float()


@settings(max_examples=25)
@given(
    radius=st.floats(0.1, 20), steps=st.integers(1, 5), seed=st.integers(0, 99), far=st.sampled_from([1.0, 1e3, 1e9])
)
def test_equals_the_loop_of_the_paper_over_two_rounds(radius, steps, seed, far):
    rule = CentredClipping(radius=radius, steps=steps)
    first, second = normal(6, 15, seed), normal(6, 15, seed + 100)
    first[0] *= far
    out, state = apply_to(rule, BufferedRows(first))
    torch.testing.assert_close(out, _loop(first, torch.zeros(15), radius, steps), rtol=1e-4, atol=1e-5)
    after, _ = apply_to(rule, BufferedRows(second), state)
    torch.testing.assert_close(after, _loop(second, out, radius, steps), rtol=1e-4, atol=1e-5)


def test_a_huge_radius_is_the_mean_and_a_tiny_one_stays_where_it_was():
    matrix, before = normal(6, 15), {CENTRE: normal(1, 15, seed=9)[0]}
    torch.testing.assert_close(apply(CentredClipping(radius=1e30), matrix, before), matrix.mean(dim=0))
    torch.testing.assert_close(apply(CentredClipping(radius=1e-12), matrix, before), before[CENTRE])


def test_the_centre_is_remembered_only_where_it_is_used():
    rows = BufferedRows(normal(6, 15))
    out, state = apply_to(CentredClipping(radius=1.0), rows)
    assert list(state) == [CENTRE]
    assert torch.equal(state[CENTRE], out)
    assert apply_to(CentredClipping(radius=1.0, start="zero"), rows)[1] == {}


def test_from_zero_in_one_step_it_is_the_mean_of_norm_clipped_updates():
    matrix, clip = normal(6, 15), NormClippedMean(max_norm=2.0)
    clipped = torch.stack([row * clip.factor({"w": row}) for row in matrix])
    torch.testing.assert_close(apply(CentredClipping(radius=2.0, start="zero"), matrix), clipped.mean(dim=0))


def test_one_site_moves_it_by_no_more_than_its_share_of_the_radius():
    matrix = normal(10, 15)
    moved = matrix.clone()
    moved[0] = 1e20
    rule = CentredClipping(radius=0.5)
    assert (apply(rule, moved) - apply(rule, matrix)).norm() <= 2 * 0.5 / 10 + 1e-6


def test_norm_clipping_by_hand_and_over_floating_values_only():
    clip = NormClippedMean(max_norm=2.5)
    assert clip.factor({"w": torch.tensor([3.0]), "b": torch.tensor([4.0])}) == pytest.approx(0.5)
    assert clip.factor({"w": torch.tensor([1.5, 2.0])}) == 1.0
    assert clip.factor({"w": torch.tensor([3.0, 4.0]), "batches": torch.tensor(1000)}) == pytest.approx(0.5)
    assert clip.factor({"w": torch.zeros(3)}) == 1.0
