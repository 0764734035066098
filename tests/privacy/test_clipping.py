"""Clipping, and the bound that follows the updates. Oracles: by hand, bounds, and the wrong ways as foils."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medfed.params import norm
from privacy.clipping import adapted_bound, clip, clip_factor, split_multiplier


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=6), st.floats(1e-3, 1e3))
def test_a_long_update_is_shortened_and_a_short_one_left_alone(values, bound):
    change = {"a": torch.tensor(values), "b": torch.tensor([[values[0]]])}
    clipped = clip(change, bound)
    assert norm(clipped) <= bound * (1 + 1e-6)
    if norm(change) <= bound:
        assert all(torch.equal(clipped[name], value) for name, value in change.items())


def test_a_zero_update_stays_zero_where_the_naive_way_divides_by_its_norm():
    zero = {"a": torch.zeros(3)}
    assert clip(zero, 1.0)["a"].tolist() == [0.0, 0.0, 0.0]
    assert clip_factor(0.0, 1.0) == 1.0
    with pytest.raises(ZeroDivisionError):
        min(1.0, 1.0 / norm(zero))


def test_the_bound_rises_while_all_are_clipped_and_falls_while_none_is():
    """Flower 1.41 counts the clipped, with the sign for those that are not: 1 -> 0.37 in ten rounds, and 1 -> 2.72."""
    rate, quantile = 0.2, 0.5

    def after_ten_rounds(share_within):
        bound = 1.0
        for _ in range(10):
            bound = adapted_bound(bound, share_within, quantile, rate)
        return bound

    naive = math.exp(-rate * (1.0 - quantile)) ** 10  # all clipped, share of clipped = 1
    assert naive == pytest.approx(math.exp(-1.0))
    assert after_ten_rounds(share_within=0.0) == pytest.approx(math.e)
    assert after_ten_rounds(share_within=1.0) == pytest.approx(math.exp(-1.0))
    assert after_ten_rounds(share_within=quantile) == 1.0


def test_the_bound_goes_to_the_quantile():
    norms = torch.rand(1001, generator=torch.Generator().manual_seed(1)) * 10.0
    bound = 0.1
    for _ in range(300):
        bound = adapted_bound(bound, float((norms <= bound).double().mean()), 0.5, 0.2)
    assert bound == pytest.approx(float(norms.median()), rel=0.02)


def test_sum_and_count_together_cost_what_one_release_would():
    z, count = 1.3, 6.5
    together = split_multiplier(z, count) ** -2 + (2.0 * count) ** -2  # mu^2 of the sum, mu^2 of the count
    assert together == pytest.approx(z**-2)
    assert z < split_multiplier(z, count) < 1.01 * z
    with pytest.raises(ValueError, match=r"above 0\.65"):
        split_multiplier(z, 0.6)
