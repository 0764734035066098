"""Stochastic quantization. Oracles: the bound and moments of the method in closed form, the limit theorem, by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medfed.compression.int8 import SCALES, Int8, quantize, tensor_scale
from medfed.errors import UpdateError
from medfed.params import num_bytes

VALUES = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=20)


def _seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(values=VALUES, seed=st.integers(0, 2**32))
def test_the_error_is_less_than_a_step(values, seed):
    """Bound |x' - x| <= scale, and 2^-22 of the largest value for float32's two roundings (scale, product)."""
    update = {"a": torch.tensor(values)}
    wire, left = Int8().compress(update, {}, _seeded(seed))
    back = Int8().decompress(wire, update)
    x, y, scale = update["a"].to(torch.float64), back["a"].to(torch.float64), float(wire[SCALES][0])
    smallest = torch.finfo(torch.float32).smallest_normal  # below it the scale itself is a subnormal float32
    assert (y - x).abs().max() <= scale + float(x.abs().max()) * 2.0**-22 + smallest
    assert wire["a"].abs().max() <= 127
    assert left == {}


@given(values=VALUES, seed=st.integers(0, 2**32))
def test_a_code_is_one_of_the_two_levels_beside_the_value(values, seed):
    x = torch.tensor(values, dtype=torch.float64)
    scale = tensor_scale(x)
    codes = quantize(x, scale, _seeded(seed))
    if scale > 0.0:
        place = x / scale
        assert ((codes >= place.floor()) & (codes <= place.floor() + 1)).all()


class Constant(np.random.Generator):
    """Draws one number for ever: the least or the most that the noise can be."""

    def __init__(self, value: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.value = value

    def random(self, size: int, dtype: type = np.float32) -> np.ndarray:
        return np.full(size, self.value, dtype)


@given(largest=st.floats(2.0**-100, 2.0**100, width=32), value=st.sampled_from([0.0, 1.0 - 2.0**-24]))
def test_no_noise_takes_a_code_beyond_the_last_level(largest, value):
    x = torch.tensor([largest, -largest])
    codes = quantize(x, tensor_scale(x), Constant(value))
    assert codes.to(torch.int64).abs().max() <= 127


def test_mean_and_variance_over_many_draws_are_those_of_the_closed_form():
    """q is one of two levels, the upper with probability f = x / scale - floor: mean x, variance f (1 - f) scale^2."""
    seeds, copies = 40, 250
    draws = seeds * copies
    x = torch.from_numpy(_seeded(1).normal(size=50)).to(torch.float32)
    update = {"a": x.expand(copies, 50)}
    wires = [Int8().compress(update, {}, _seeded(seed))[0] for seed in range(seeds)]
    stacked = torch.cat([Int8().decompress(wire, update)["a"] for wire in wires]).to(torch.float64)
    scale = tensor_scale(x)
    fraction = torch.frac(x.to(torch.float64) / scale + 127.0)
    variance = fraction * (1.0 - fraction) * scale**2
    off = (stacked.mean(0) - x).abs()
    assert (off <= 5.0 * (variance / draws).sqrt() + 1e-6 * scale * 127).all()  # 5 sigma of the mean, float32 rounding
    assert off.mean() < 0.02 * scale  # rounding to nearest would be off by 0.25 steps in the mean
    # The sample variance of a bounded variable: standard error at most scale^2 / (2 sqrt(draws)).
    assert ((stacked.var(0) - variance).abs() <= 5.0 * scale**2 / (2.0 * math.sqrt(draws))).all()


def test_by_hand():
    """Levels themselves are exact whatever is drawn, but for the last bit by which the scale is rounded up."""
    update = {"a": torch.tensor([127.0, -127.0, 0.0]), "zeros": torch.zeros(2, 2), "scalar": torch.tensor(-3.0)}
    wire, _ = Int8().compress(update, {}, _seeded())
    assert wire[SCALES].tolist() == pytest.approx([1.0, 3.0 / 127.0, 0.0], rel=1e-15)  # a, scalar, zeros
    assert wire["zeros"].tolist() == [[0, 0], [0, 0]]
    back = Int8().decompress(wire, update)
    assert back["zeros"].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert back["a"][2] == 0.0
    assert ((back["a"] - update["a"]).abs() <= 1.0).all()


def test_what_is_drawn_depends_on_shapes_alone():
    zeros = {"a": torch.zeros(5), "b": torch.linspace(-1.0, 1.0, 7)}
    ones = {"a": torch.ones(5), "b": torch.linspace(-1.0, 1.0, 7)}
    one, other = (Int8().compress(update, {}, _seeded(3))[0] for update in (zeros, ones))
    assert torch.equal(one["b"], other["b"])


def test_seeds_give_different_noise():
    update = {"a": torch.linspace(-1.0, 1.0, 101)}
    one, other = (Int8().compress(update, {}, _seeded(seed))[0] for seed in (1, 2))
    assert not torch.equal(one["a"], other["a"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_largest_number_of_a_type_does_not_become_infinite(dtype):
    most = torch.finfo(dtype).max
    update = {"a": torch.tensor([most, -most, 0.0], dtype=dtype)}
    back = Int8().decompress(Int8().compress(update, {}, _seeded())[0], update)
    assert back["a"].isfinite().all()
    # By hand: the largest value lies one bit below the last level, so it may come out one step lower.
    assert (back["a"].to(torch.float64).abs()[:2] >= most * (126.0 / 127.0) * (1.0 - 2.0**-9)).all()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0, 1e39])
def test_a_scale_that_cannot_be_is_refused(wrong):
    update = {"a": torch.ones(3), "b": torch.ones(3)}
    wire, _ = Int8().compress(update, {}, _seeded())
    wire[SCALES] = torch.tensor([1.0, wrong], dtype=torch.float64)
    with pytest.raises(UpdateError, match=r'tensor "b": expected a scale from 0 to 2.68e\+36, got'):
        Int8().decompress(wire, update)


def test_a_model_cannot_use_the_name_of_the_scales():
    with pytest.raises(ValueError, match="must not begin with"):
        Int8().compress({SCALES: torch.ones(1)}, {}, _seeded())


def test_bytes():
    update = {"a": torch.ones(100, 10), "b": torch.ones(10), "steps": torch.tensor(3)}
    wire, _ = Int8().compress(update, {}, _seeded())
    assert num_bytes(wire) == 1000 + 10 + 2 * 8 + 8  # codes, two scales, the integer
