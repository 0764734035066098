"""Named tensors as bytes. Oracles: the safetensors package, inverse (read after write), planted malformations."""

import json

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from medfed import payload
from medfed.errors import UpdateError

DTYPES = st.sampled_from(
    [
        torch.float16,
        torch.float32,
        torch.float64,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.uint8,
        torch.bool,
    ]
)
TENSOR = st.tuples(st.lists(st.integers(0, 4), max_size=3), DTYPES)


def tensors(forms: list[tuple[list[int], torch.dtype]]) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return {f"t{i}": (torch.randn(shape, generator=draws) * 10).to(dtype) for i, (shape, dtype) in enumerate(forms)}


@given(st.lists(TENSOR, max_size=5))
def test_the_safetensors_package_reads_what_we_write(forms) -> None:
    weights = tensors(forms)
    theirs = safetensors.torch.load(bytes(payload.pack(weights)))
    assert theirs.keys() == weights.keys()
    for name, value in weights.items():
        assert theirs[name].dtype == value.dtype
        assert torch.equal(theirs[name], value)


@given(st.lists(TENSOR, max_size=5))
def test_we_read_what_the_safetensors_package_writes(forms) -> None:
    weights = tensors(forms)
    ours = payload.unpack(safetensors.torch.save(weights))
    assert ours.keys() == weights.keys()
    assert all(torch.equal(ours[name], value) for name, value in weights.items())


def test_order_and_metadata_come_back() -> None:
    weights = {"n": torch.tensor(1), "b": torch.ones(3, dtype=torch.bool), "a": torch.zeros(2)}
    back, metadata = payload.unpack_all(payload.pack(weights, {"site": "\u00e9", "steps": 3}))
    assert list(back) == ["n", "b", "a"]
    assert metadata == {"site": "\u00e9", "steps": 3}


def test_what_is_read_from_bytes_is_a_copy_and_from_a_writable_buffer_is_not() -> None:
    buffer = payload.pack({"x": torch.zeros(2)})
    payload.unpack(buffer)["x"][0] = 7.0
    assert payload.unpack(buffer)["x"].tolist() == [7.0, 0.0]
    frozen = bytes(buffer)
    payload.unpack(frozen)["x"][0] = 9.0
    assert payload.unpack(frozen)["x"].tolist() == [7.0, 0.0]


def test_a_dtype_that_cannot_travel_is_misuse() -> None:
    with pytest.raises(ValueError, match='"x": complex64 cannot travel'):
        payload.pack({"x": torch.zeros(1, dtype=torch.complex64)})


def forged(header: object, body: bytes = b"\0" * 8) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "malformed"),
        (b"\xff" * 8 + b"{}", "malformed"),
        (forged([1]), "malformed"),
        (forged({"x": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}), "expected 12 bytes, got 0 to 8"),
        (
            forged({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}),
            "expected bytes 0 to 16, got 8 in all",
        ),
        (forged({"x": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}), "expected 8 bytes"),
        (forged({"x": {"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}}), "expected 8 bytes"),
        (forged({"x": {"dtype": "object", "shape": [1], "data_offsets": [0, 8]}}), "KeyError"),
        (forged({"x": {"dtype": "F32", "shape": [10**30], "data_offsets": [0, 8]}}), "expected 4"),
        (forged({"x": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}}), "offset of whole elements"),
        (forged({"x": 3}), "malformed"),
        (forged({"__metadata__": {"medfed": "{"}}), "malformed"),
    ],
)
def test_malformed_bytes_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(UpdateError, match=said):
        payload.unpack(data)
