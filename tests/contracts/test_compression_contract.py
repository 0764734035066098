"""What every compression must keep; a new line in COMPRESSIONS is picked up by itself.

Oracle: the Compression protocol, whose laws hold for any update; the bytes of safetensors for what travels.
"""

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from medfed.compression import COMPRESSIONS
from medfed.compression.contract import Compression
from medfed.errors import DivergedError, UpdateError
from medfed.types import Weights

every_compression = pytest.mark.parametrize("name", COMPRESSIONS)

SHAPES = st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), max_size=5)  # () is a scalar, a 0 is empty
DTYPES = st.sampled_from([torch.float32, torch.float32, torch.float64, torch.float16])
SIZES = st.sampled_from([0.0, 1e-6, 1.0, 1e5])

STEPS = torch.tensor([3, 2**40], dtype=torch.int64)
MASK = torch.tensor([True, False])
VARIANCE = torch.tensor([0.3, -0.9999999])  # of a normalization layer: rounding it could make it negative


def _seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _normal(shape: tuple[int, ...], size: float, dtype: torch.dtype, seed: int) -> torch.Tensor:
    values = torch.from_numpy(np.asarray(_seeded(seed).normal(scale=size, size=shape)))
    limit = torch.finfo(dtype).max
    return values.clamp(-limit, limit).to(dtype)


@st.composite
def updates(draw: st.DrawFn) -> Weights:
    seed = draw(st.integers(0, 1000))
    shapes = enumerate(draw(SHAPES))
    floats = {f"block.{i}": _normal(shape, draw(SIZES), draw(DTYPES), seed + i) for i, shape in shapes}
    return floats | {"num_batches_tracked": STEPS, "norm.running_var": VARIANCE, "mask": MASK}


def _update() -> Weights:
    return {
        "features.weight": _normal((16, 3, 3), 0.1, torch.float32, 1),
        "empty": torch.zeros(0, 3),
        "bias": _normal((16,), 1.0, torch.float32, 2),
        "temperature": torch.tensor(0.25),
        "num_batches_tracked": STEPS,
        "norm.running_var": VARIANCE,
    }


def _copy(weights: Weights) -> Weights:
    return {name: value.clone() for name, value in weights.items()}


def _same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@every_compression
def test_keeps_the_protocol(name):
    assert isinstance(COMPRESSIONS[name](), Compression)


@every_compression
@given(update=updates(), seed=st.integers(0, 2**32))
def test_names_shapes_and_dtypes_come_back_and_values_stay_finite(name, update, seed):
    method = COMPRESSIONS[name]()
    wire, _ = method.compress(update, {}, _seeded(seed))
    back = method.decompress(wire, update)
    assert list(back) == list(update)
    for key, value in update.items():
        assert (back[key].shape, back[key].dtype) == (value.shape, value.dtype)
        assert back[key].isfinite().all()


@every_compression
@given(update=updates(), seed=st.integers(0, 2**32))
def test_integers_masks_and_running_statistics_are_exact(name, update, seed):
    method = COMPRESSIONS[name]()
    back = method.decompress(method.compress(update, {}, _seeded(seed))[0], update)
    for key in ("num_batches_tracked", "norm.running_var", "mask"):
        assert torch.equal(back[key], update[key])


@every_compression
@given(update=updates(), seed=st.integers(0, 2**32))
def test_no_value_is_off_by_more_than_the_largest_of_its_tensor(name, update, seed):
    method = COMPRESSIONS[name]()
    back = method.decompress(method.compress(update, {}, _seeded(seed))[0], update)
    for key, value in update.items():
        if value.is_floating_point() and value.numel():
            x, y = value.to(torch.float64), back[key].to(torch.float64)
            assert (x - y).abs().max() <= x.abs().max()  # of a tensor of zeros: exact


@every_compression
@given(update=updates(), seed=st.integers(0, 2**32))
def test_what_is_left_out_is_what_was_not_delivered(name, update, seed):
    """decompress(compress(x + r)) + r' = x + r, in the precision of r; over rounds, nothing is lost."""
    method = COMPRESSIONS[name]()
    residual: Weights = {}
    for number in range(3):
        wire, left = method.compress(update, residual, _seeded(seed + number))
        back = method.decompress(wire, update)
        for key in left:
            owed = update[key] + residual[key] if residual else update[key].to(left[key].dtype)
            assert torch.equal(back[key] + left[key], owed)
        residual = left


@every_compression
def test_the_order_of_names_and_of_what_travels_decides_nothing(name):
    method, update = COMPRESSIONS[name](), _update()
    turned = dict(reversed(update.items()))
    wire, left = method.compress(update, {}, _seeded())
    turned_wire, turned_left = method.compress(turned, {}, _seeded())
    assert _same(wire, turned_wire)
    assert _same(left, turned_left)
    back = method.decompress(wire, update)
    assert _same(method.decompress(dict(reversed(wire.items())), turned), back)


@every_compression
def test_the_generator_decides_everything(name):
    method, update = COMPRESSIONS[name](), _update()
    torch.manual_seed(0)
    np.random.seed(0)
    one = method.compress(update, {}, _seeded(1))
    torch.manual_seed(1)
    np.random.seed(1)
    same = method.compress(update, {}, _seeded(1))
    assert _same(one[0], same[0])
    assert _same(one[1], same[1])


@every_compression
def test_writes_to_none_of_its_arguments(name):
    method, update = COMPRESSIONS[name](), _update()
    update["double"] = _normal((5,), 1.0, torch.float64, 3)  # no conversion copies it by chance
    kept = _copy(update)
    wire, left = method.compress(update, {}, _seeded())
    kept_wire, kept_left = _copy(wire), _copy(left)
    method.compress(update, left, _seeded())
    method.decompress(wire, update)
    assert _same(update, kept)
    assert _same(wire, kept_wire)
    assert _same(left, kept_left)


@every_compression
def test_travels_as_safetensors(name):
    method, update = COMPRESSIONS[name](), _update()
    wire, _ = method.compress(update, {}, _seeded())
    arrived = safetensors.torch.load(safetensors.torch.save(wire))
    assert _same(method.decompress(arrived, update), method.decompress(wire, update))


@every_compression
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_a_diverged_update_is_told_never_hidden(name, wrong):
    method, update = COMPRESSIONS[name](), _update()
    update["bias"][3] = wrong
    try:
        wire, _ = method.compress(update, {}, _seeded())
    except DivergedError:
        return
    assert not method.decompress(wire, update)["bias"].isfinite().all()


def _hostile(wire: Weights) -> list[tuple[str, Weights]]:
    """Copies of ``wire`` with one fault each."""
    found = [("unknown\nname", wire | {"unknown\nname": torch.zeros(1)}), ("missing", {})]
    for key, value in wire.items():
        others = {inner: tensor for inner, tensor in wire.items() if inner != key}
        longer = torch.zeros(value.numel() + 1, dtype=value.dtype)
        endless = torch.zeros(1, dtype=value.dtype).expand(2**45)  # 32 TiB and more, were it ever made
        found += [(key, others)]
        found += [(key, wire | {key: wrong}) for wrong in (longer, endless, value.to(torch.int16))]
    return found


@every_compression
def test_what_does_not_fit_is_refused_in_one_line(name):
    method, update = COMPRESSIONS[name](), _update()
    wire, _ = method.compress(update, {}, _seeded())
    for key, wrong in _hostile(wire):
        with pytest.raises(UpdateError) as refused:
            method.decompress(wrong, update)
        assert "\n" not in str(refused.value)
        assert repr(key)[1:-1] in str(refused.value)


@every_compression
def test_nothing_floating_or_nothing_at_all_passes(name):
    method = COMPRESSIONS[name]()
    for update in ({}, {"steps": STEPS}, {"empty": torch.zeros(0)}):
        wire, left = method.compress(update, {}, _seeded())
        assert _same(method.decompress(wire, update), update)
        assert sum(value.numel() for value in left.values()) == 0
