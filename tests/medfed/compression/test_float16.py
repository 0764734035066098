"""Half precision. Oracles: numpy's float16, the bound of the format (IEEE 754 binary16)."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medfed.compression.float16 import LARGEST, Float16
from medfed.errors import DivergedError
from medfed.params import num_bytes

NOISE = np.random.default_rng(0)
IN_RANGE = st.lists(st.floats(-65504.0, 65504.0, width=32), min_size=1, max_size=20)


@given(values=IN_RANGE)
def test_is_numpy_s_float16(values):
    update = {"a": torch.tensor(values)}
    wire, left = Float16().compress(update, {}, NOISE)
    back = Float16().decompress(wire, update)
    assert wire["a"].dtype == torch.float16
    assert left == {}
    expected = np.array(values, np.float32).astype(np.float16).astype(np.float32)
    assert np.array_equal(back["a"].numpy(), expected)


@given(values=IN_RANGE)
def test_the_error_is_half_a_unit_in_the_last_place(values):
    update = {"a": torch.tensor(values)}
    back = Float16().decompress(Float16().compress(update, {}, NOISE)[0], update)
    bound = torch.clamp(update["a"].abs() * 2.0**-11, min=2.0**-25)
    assert ((back["a"] - update["a"]).abs() <= bound).all()


@pytest.mark.parametrize("value", [65504.1, -70000.0, 3e38])
def test_a_tensor_beyond_the_range_travels_as_it_is(value):
    update = {"large": torch.tensor([value, 1e-3]), "small": torch.tensor([1.0, LARGEST])}
    wire, _ = Float16().compress(update, {}, NOISE)
    assert (wire["large"].dtype, wire["small"].dtype) == (torch.float32, torch.float16)
    back = Float16().decompress(wire, update)
    assert torch.equal(back["large"], update["large"])
    assert back["small"].tolist() == [1.0, LARGEST]  # by hand: both are float16 numbers


@pytest.mark.parametrize(("dtype", "ratio"), [(torch.float64, 4), (torch.float32, 2), (torch.float16, 1)])
def test_bytes(dtype, ratio):
    update = {"a": torch.ones(1000, dtype=dtype)}
    wire, _ = Float16().compress(update, {}, NOISE)
    assert num_bytes(update) == ratio * num_bytes(wire)


def test_bfloat16_is_as_short_already():
    update = {"a": torch.ones(3, dtype=torch.bfloat16)}
    assert Float16().compress(update, {}, NOISE)[0]["a"] is update["a"]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused_by_name(wrong):
    with pytest.raises(DivergedError, match='tensor "a": expected finite values, got NaN or Inf; lower training'):
        Float16().compress({"a": torch.tensor([1.0, wrong])}, {}, NOISE)
