"""Named tensors as one buffer of bytes in the safetensors format, without a copy on the way in.

The same bytes travel in a message, lie in shared memory between two processes, and are a file of the spool. Our own
few lines stand beside the safetensors package because it can only write to a file or to fresh ``bytes``, and only read
from a file: each costs a copy of the model per message. The format: 8 bytes of length, a JSON header
(``name -> dtype, shape, data_offsets``), the data; https://huggingface.co/docs/safetensors.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

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
_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_ALIGNMENT = 8


def pack(weights: Weights, metadata: Mapping[str, Any] | None = None) -> memoryview:
    """One buffer with all ``weights``; ``metadata`` (JSON values) goes into the header.

    Wide elements come first, so that every tensor is aligned; the header keeps the order of ``weights``.
    """
    arrays = {name: value.detach().cpu().contiguous().numpy() for name, value in weights.items()}
    offsets, size = {}, 0
    for name in sorted(arrays, key=lambda name: -arrays[name].itemsize):  # stable: equal widths keep their order
        offsets[name] = (size, size + arrays[name].nbytes)
        size += arrays[name].nbytes
    header: dict[str, Any] = {_METADATA: {"medfed": json.dumps(dict(metadata), sort_keys=True)}} if metadata else {}
    for name, array in arrays.items():
        header[name] = {"dtype": _code(name, array), "shape": list(array.shape), "data_offsets": list(offsets[name])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    start = _LENGTH_BYTES + len(text)
    buffer = np.empty(start + size, np.uint8)
    buffer[:start] = np.frombuffer(len(text).to_bytes(_LENGTH_BYTES, "little") + text, np.uint8)
    for name, (low, high) in offsets.items():
        buffer[start + low : start + high] = arrays[name].reshape(-1).view(np.uint8)
    return buffer.data


def _code(name: str, array: NDArray[Any]) -> str:
    if array.dtype not in _CODES:
        raise ValueError(f'tensor "{name}": {array.dtype} cannot travel; expected one of {", ".join(DTYPES.values())}')
    return _CODES[array.dtype]


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
        header = json.loads(bytes(view[_LENGTH_BYTES : _LENGTH_BYTES + length]))
        metadata = json.loads(header.pop(_METADATA, {}).get("medfed", "{}"))
        body = view[_LENGTH_BYTES + length :]
        return {str(name): _tensor(str(name), entry, body) for name, entry in header.items()}, metadata
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UpdateError(f"tensors are malformed: expected safetensors; {type(error).__name__}: {error}") from error


def _tensor(name: str, entry: Mapping[str, Any], body: memoryview) -> torch.Tensor:
    dtype = _TYPES[entry["dtype"]]
    shape = [int(size) for size in entry["shape"]]
    low, high = (int(offset) for offset in entry["data_offsets"])
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or not 0 <= low <= high <= len(body) or high - low != expected:
        raise ValueError(f'tensor "{name}" of shape {shape}: expected {expected} bytes, got {low} to {high}')
    if low == high:
        return torch.from_numpy(np.empty(shape, dtype))
    return torch.from_numpy(np.frombuffer(body, dtype, math.prod(shape), low).reshape(shape))
