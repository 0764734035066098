"""Named tensors as one buffer of bytes in the safetensors format, without a copy on the way in.

The same bytes travel in a message, lie in shared memory between two processes, and are a file of the spool. Our own
few lines stand beside the safetensors package because it can only write to a file or to fresh ``bytes``, and only read
from a file: each costs a copy of the model per message. The format: 8 bytes of length, a JSON header
(``name -> dtype, shape, data_offsets``), the data; https://huggingface.co/docs/safetensors.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from medfed.errors import UpdateError
from medfed.types import Weights

DTYPES: dict[str, str] = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""safetensors name -> numpy name of every element type that may travel."""

_TYPES = {code: np.dtype(name) for code, name in DTYPES.items()}
_CODES = {dtype: code for code, dtype in _TYPES.items()}
Allocate = Callable[[int], NDArray[np.uint8]]
"""So many bytes -> memory of that size."""

_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_ALIGNMENT = 8
_GROUP_ALIGNMENT = 64  # that of torch's own allocator
_REMEMBERED_BYTES = 65536  # a longer header is read anew each time: nobody shall fill our memory with headers


def pack(weights: Weights, metadata: Mapping[str, Any] | None = None) -> memoryview:
    """One buffer with all ``weights``; ``metadata`` (JSON values) goes into the header.

    Wide elements come first, so that every tensor is aligned; the header keeps the order of ``weights``.
    """
    packing = _Packing(weights, metadata)
    buffer = np.empty(packing.size, np.uint8)
    packing.write(buffer)
    return buffer.data


def pack_groups(groups: Mapping[str, Weights]) -> dict[str, memoryview]:
    """Each of ``groups`` as by :func:`pack`, one after the other in one memory (see :func:`packing_into`)."""
    packings = {name: _Packing(weights) for name, weights in groups.items()}
    starts, end = {}, 0
    for name, packing in packings.items():
        starts[name] = -(-end // _GROUP_ALIGNMENT) * _GROUP_ALIGNMENT
        end = starts[name] + packing.size
    memory = _allocate.get()(end)
    for name, packing in packings.items():
        packing.write(memory[starts[name] : starts[name] + packing.size])
    return {name: memory[start : start + packings[name].size].data for name, start in starts.items()}


def _fresh(size: int) -> NDArray[np.uint8]:
    return np.empty(size, np.uint8)


_allocate: ContextVar[Allocate] = ContextVar("allocate", default=_fresh)


@contextmanager
def packing_into(allocate: Allocate) -> Iterator[None]:
    """Inside the block, :func:`pack_groups` writes into memory of ``allocate``: what is to be sent is then copied once.

    Whoever allocates says how long the memory is good for.
    """
    token = _allocate.set(allocate)
    try:
        yield
    finally:
        _allocate.reset(token)


class _Packing:
    """How weights will lie in a buffer of ``size`` bytes."""

    def __init__(self, weights: Weights, metadata: Mapping[str, Any] | None = None) -> None:
        self._arrays = {name: value.detach().cpu().contiguous().numpy() for name, value in weights.items()}
        forms = tuple((name, array.dtype, array.shape) for name, array in self._arrays.items())
        head, self._offsets, size = _arranged(forms)
        header: dict[str, Any] = {_METADATA: {"medfed": json.dumps(dict(metadata), sort_keys=True)}} if metadata else {}
        text = (json.dumps(header, separators=(",", ":"))[:-1] + ("," if header and head else "") + head + "}").encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        self._head = len(text).to_bytes(_LENGTH_BYTES, "little") + text
        self.size = len(self._head) + size

    def write(self, buffer: NDArray[np.uint8]) -> None:
        """Fill ``buffer``."""
        start = len(self._head)
        buffer[:start] = np.frombuffer(self._head, np.uint8)
        for name, (low, high) in self._offsets.items():
            buffer[start + low : start + high] = self._arrays[name].reshape(-1).view(np.uint8)


@lru_cache(maxsize=32)  # a site packs the same tensors in every round
def _arranged(
    forms: tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...],
) -> tuple[str, dict[str, tuple[int, int]], int]:
    """The header's entries as JSON without braces, where each tensor lies in the data, and the data's size in bytes."""
    sizes = {name: math.prod(shape) * dtype.itemsize for name, dtype, shape in forms}
    offsets, size = {}, 0
    for name, _, _ in sorted(forms, key=lambda form: -form[1].itemsize):  # stable: equal widths keep their order
        offsets[name] = (size, size + sizes[name])
        size += sizes[name]
    entries = {
        name: {"dtype": _code(name, dtype), "shape": list(shape), "data_offsets": list(offsets[name])}
        for name, dtype, shape in forms
    }
    return json.dumps(entries, separators=(",", ":"))[1:-1], offsets, size


def _code(name: str, dtype: np.dtype[Any]) -> str:
    if dtype not in _CODES:
        raise ValueError(f'tensor "{name}": {dtype} cannot travel; expected one of {", ".join(DTYPES.values())}')
    return _CODES[dtype]


def unpack(data: bytes | memoryview) -> Weights:
    """The tensors in ``data``: views of it where it may be written to, else of one copy. Treat them as read-only.

    Raises:
        UpdateError: the bytes are no safetensors, or an entry has an unknown dtype, or does not fit its shape.
    """
    return unpack_all(data)[0]


def unpack_all(data: bytes | memoryview) -> tuple[Weights, dict[str, Any]]:
    """The tensors in ``data`` as :func:`unpack` gives them, and the metadata.

    Raises:
        UpdateError: as :func:`unpack`.
    """
    view = memoryview(data)
    if view.readonly:  # torch has no read-only tensors
        view = memoryview(bytearray(view))
    try:
        length = int.from_bytes(view[:_LENGTH_BYTES], "little")
        if length > len(view) - _LENGTH_BYTES:
            raise ValueError(f"expected a header of {length} bytes, got {len(view)} in all")
        header = bytes(view[_LENGTH_BYTES : _LENGTH_BYTES + length])
        places, metadata = _remembered_layout(header) if length <= _REMEMBERED_BYTES else _layout(header)
        body = view[_LENGTH_BYTES + length :]
        return {place.name: _tensor(place, body) for place in places}, json.loads(metadata)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UpdateError(f"tensors are malformed: expected safetensors; {type(error).__name__}: {error}") from error


class _Place(NamedTuple):
    """Where a tensor lies in the data, in bytes."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    low: int
    high: int


def _layout(header: bytes) -> tuple[tuple[_Place, ...], str]:
    """The tensors of a header, and the metadata as JSON."""
    entries = json.loads(header)
    metadata = entries.pop(_METADATA, {}).get("medfed", "{}")
    return tuple(_place(str(name), entry) for name, entry in entries.items()), metadata


_remembered_layout = lru_cache(maxsize=32)(_layout)  # all updates of a run have the same header


def _place(name: str, entry: Mapping[str, Any]) -> _Place:
    dtype = _TYPES[entry["dtype"]]
    shape = tuple(int(size) for size in entry["shape"])
    low, high = (int(offset) for offset in entry["data_offsets"])
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or not 0 <= low <= high or high - low != expected:
        raise ValueError(f'tensor "{name}" of shape {shape}: expected {expected} bytes, got {low} to {high}')
    return _Place(name, dtype, shape, low, high)


def _tensor(place: _Place, body: memoryview) -> torch.Tensor:
    if place.high > len(body):
        raise ValueError(f'tensor "{place.name}": expected bytes {place.low} to {place.high}, got {len(body)} in all')
    if place.low == place.high:
        return torch.from_numpy(np.empty(place.shape, place.dtype))
    if place.low % place.dtype.itemsize:
        raise ValueError(f'tensor "{place.name}": expected an offset of whole elements, got {place.low}')
    return torch.from_numpy(np.ndarray(place.shape, place.dtype, body, place.low))
