"""Reading every image once at full size: what cannot be used, and a digest of the content of the rest."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medfed.data.faults import MASK_SIZE, MISSING, ImageFault
from medfed.data.table import Record, Store, Table

DIGEST_BYTES = 16


@dataclass(frozen=True)
class Fault:
    """Record ``index`` of the table cannot be used."""

    index: int
    fault: ImageFault


@dataclass(frozen=True, eq=False)
class Pair:
    """An image (channel, height, width), its mask (height, width) where wanted, and the image's digest."""

    image: NDArray[Any]
    mask: NDArray[np.integer[Any]] | None
    digest: bytes


def load_pair(store: Store, record: Record, with_mask: bool) -> Pair:
    """Read one record at full size.

    Raises:
        ImageFault: missing, unreadable, not finite, or image and mask differ in size.
    """
    image = store.image(record.image)
    if not with_mask:
        return Pair(image, None, content_digest(image))
    if record.mask is None:
        raise ImageFault(MISSING, "no mask named")
    try:
        mask = store.mask(record.mask)
    except ImageFault as fault:
        detail = fault.detail if fault.what == MISSING else f"mask {record.mask}: {fault.detail}"
        raise ImageFault(fault.what, detail) from fault
    if mask.shape != image.shape[1:]:
        raise ImageFault(MASK_SIZE, f"mask {_size(mask.shape)}, image {_size(image.shape[1:])}")
    return Pair(image, mask, content_digest(image))


def content_digest(image: NDArray[Any]) -> bytes:
    """BLAKE2b of type, shape and pixels: equal for equal pictures, however they were compressed."""
    head = f"{image.dtype.name}{image.shape}".encode()
    return hashlib.blake2b(head + image.tobytes(), digest_size=DIGEST_BYTES).digest()


def scan(table: Table) -> tuple[tuple[bytes | None, ...], tuple[Fault, ...]]:
    """Read every record, with its mask where one is named.

    Returns:
        A digest per record, None where it could not be read, and the faults.
    """
    digests: list[bytes | None] = []
    faults: list[Fault] = []
    for index, record in enumerate(table.records):
        try:
            digests.append(load_pair(table.store, record, with_mask=record.mask is not None).digest)
        except ImageFault as fault:
            digests.append(None)
            faults.append(Fault(index, fault))
    return tuple(digests), tuple(faults)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
