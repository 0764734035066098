"""Integers for updates. Oracles: by hand, the stated error over drawn values, and the plain weighted mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfed.errors import DivergedError, ScenarioError, UpdateError
from privacy.secure_aggregation.quantisation import Steps, decode, encode, steps_for


def test_by_hand() -> None:
    """4 levels for [-2, 2]: a step is 0.5. 1.3 is 3 steps, -9 is cut at -4; twice, since the weight is 2."""
    vector = encode(np.float32([1.3, -9.0, 0.0]), 2, Steps(32, 2.0, 4))
    assert vector.view(np.int32).tolist() == [6, -8, 0, 2, 1]


def test_the_finest_steps_do_not_wrap_around() -> None:
    for bits, total in ((32, 1), (32, 1000), (32, 2**31 - 1), (64, 10**12)):
        steps = steps_for(bits, 1.0, total)
        assert steps.levels * total < 2 ** (bits - 1)
    assert steps_for(32, 1.0, 1000).levels == 2_147_483  # (2^31 - 1) / 1000
    with pytest.raises(ScenarioError, match="weights of 2147483648 in all leave no room"):
        steps_for(32, 1.0, 2**31)


@settings(deadline=None, max_examples=50)
@given(
    bits=st.sampled_from([32, 64]),
    clip=st.sampled_from([0.01, 1.0, 300.0]),
    weights=st.lists(st.integers(0, 5000), min_size=1, max_size=6).filter(any),
    length=st.integers(0, 40),
    seed=st.integers(0, 1000),
)
def test_the_mean_is_met_within_the_stated_error(
    bits: int, clip: float, weights: list[int], length: int, seed: int
) -> None:
    steps = steps_for(bits, clip, sum(weights))
    rows = np.random.default_rng(seed).normal(0.0, clip, (len(weights), length)).astype(np.float32)
    total = np.sum([encode(row, w, steps) for row, w in zip(rows, weights, strict=True)], axis=0, dtype=steps.dtype)
    opened = decode(total, steps, sum(weights))
    expected = np.average(np.clip(rows.astype(np.float64), -clip, clip), axis=0, weights=weights)
    assert np.abs(opened.mean - expected).max(initial=0.0) <= steps.error + clip * 2.0**-51
    assert opened.weight == sum(weights)
    assert opened.num_cut == sum(np.count_nonzero(np.abs(r) > clip) for r, w in zip(rows, weights, strict=True) if w)


def test_nan_is_refused() -> None:
    with pytest.raises(DivergedError, match="NaN or Inf"):
        encode(np.float32([1.0, np.nan]), 1, Steps(32, 1.0, 4))


@pytest.mark.parametrize(
    ("values", "message"),
    [([9, 2, 0], "2 x 4 steps cannot reach"), ([-9, 2, 0], "cannot reach"), ([0, 2, -1], "cannot reach")],
)
def test_sums_that_cannot_be_are_refused(values: list[int], message: str) -> None:
    with pytest.raises(UpdateError, match=message):
        decode(np.array(values, np.int32).view(np.uint32), Steps(32, 1.0, 4), 3)


@pytest.mark.parametrize("weight", [0, -1, 4])
def test_weights_that_cannot_be_are_refused(weight: int) -> None:
    with pytest.raises(UpdateError, match=f"from 1 to 3, got {weight}"):
        decode(np.array([0, weight, 0], np.int32).view(np.uint32), Steps(32, 1.0, 4), 3)
