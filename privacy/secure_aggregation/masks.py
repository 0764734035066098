"""Masks: the key stream of ChaCha20 (RFC 8439) as integers modulo 2^32 or 2^64. A seed is used for one mask only."""

from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

Ring = NDArray[np.unsignedinteger[Any]]
"""Integers modulo 2^32 or 2^64, as the dtype says; sums wrap around."""

_CHUNK_BYTES = 1 << 18  # small beside a processor's cache, large beside the cost of a call
_ZEROS = bytes(_CHUNK_BYTES)


def add_mask(total: Ring, seed: bytes, *, subtract: bool = False) -> None:
    """Add the mask of ``seed`` to ``total``, in place, or take it off."""
    stream: CipherContext = Cipher(ChaCha20(seed, bytes(16)), None).encryptor()
    width = _CHUNK_BYTES // total.itemsize
    buffer = np.empty(width, total.dtype)
    change = np.subtract if subtract else np.add
    for start in range(0, len(total), width):
        part = total[start : start + width]
        mask = buffer[: len(part)]
        stream.update_into(_ZEROS[: mask.nbytes], mask.data.cast("B"))
        change(part, mask, out=part)
