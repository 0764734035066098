"""Weights as values. Oracles: inverse (flatten/unflatten, save/load), numpy's norm, closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medfed import params
from medfed.types import Weights

SHAPES = st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), min_size=1, max_size=5)


def random_weights(shapes: list[tuple[int, ...]], seed: int) -> Weights:
    generator = torch.Generator().manual_seed(seed)
    return {f"t{i}": torch.randn(shape, generator=generator) for i, shape in enumerate(shapes)}


@given(SHAPES, st.integers(0, 1000))
def test_unflatten_inverts_flatten(shapes: list[tuple[int, ...]], seed: int) -> None:
    weights = random_weights(shapes, seed)
    back = params.unflatten(params.flatten(weights), weights)
    assert list(back) == list(weights)
    assert all(torch.equal(back[name], value) for name, value in weights.items())


@given(SHAPES, st.integers(0, 1000))
def test_flatten_keeps_number_and_norm(shapes: list[tuple[int, ...]], seed: int) -> None:
    weights = random_weights(shapes, seed)
    vector = params.flatten(weights)
    assert vector.numel() == params.num_values(weights) == params.num_bytes(weights) // 4
    assert params.norm(weights) == pytest.approx(float(np.linalg.norm(vector.numpy().astype(np.float64))), rel=1e-12)


def test_integers_are_rounded_not_cut() -> None:
    like = {"steps": torch.zeros(3, dtype=torch.int64)}
    back = params.unflatten(torch.tensor([0.6, -0.6, 2.4]), like)
    assert back["steps"].tolist() == [1, -1, 2]  # by hand


def test_unflatten_refuses_another_length() -> None:
    with pytest.raises(ValueError, match=r"vector has 3 values, the weights have 2"):
        params.unflatten(torch.zeros(3), {"a": torch.zeros(2)})


def test_difference_plus_before_is_after() -> None:
    before, after = random_weights([(3, 2)], 1), random_weights([(3, 2)], 2)
    assert torch.allclose(before["t0"] + params.difference(after, before)["t0"], after["t0"])


def test_files_keep_bits_and_metadata_and_are_reproducible(tmp_path) -> None:
    weights = {"b": torch.tensor([1.5, float("-0.0")]), "a": torch.arange(3), "h": torch.ones(2, dtype=torch.float16)}
    params.save_weights(tmp_path / "one.safetensors", weights, {"z": 1, "a": [2, 3]})
    params.save_weights(tmp_path / "two.safetensors", dict(reversed(weights.items())), {"a": [2, 3], "z": 1})
    back = params.load_weights(tmp_path / "one.safetensors")
    assert all(torch.equal(back[name], value) and back[name].dtype == value.dtype for name, value in weights.items())
    assert params.load_metadata(tmp_path / "one.safetensors") == {"z": 1, "a": [2, 3]}
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "one.safetensors",
        "two.safetensors",
    ]  # no temporary file left
