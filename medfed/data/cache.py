"""Decode once: images and masks as memory-mapped arrays, found again by the content that they came from.

The key hashes every referenced file's bytes in table order, the decode settings and :data:`DECODER_VERSION`.
An entry is written to a temporary folder and renamed, so that processes may race; its checksums are verified
when it is opened, and a damaged entry is made anew. Folder: ``$MEDFED_CACHE``, default ``~/.cache/medfed``.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from medfed.data.convert import DecodeSettings, prepare_image, prepare_mask
from medfed.data.faults import ImageFault
from medfed.data.scan import DIGEST_BYTES, Fault, load_pair
from medfed.data.table import Record, Table
from medfed.errors import DataError

DECODER_VERSION = 1
"""Raised whenever decoding would give other pixels for the same file."""

_ATTEMPTS = 3
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Decoded:
    """All images of a table, memory-mapped.

    Attributes:
        images: (rows, channel, height, width), uint8 or uint16.
        masks: (rows, height, width) uint8, or None where masks were not asked for.
        digests: (rows, 16) uint8, of each image's content at full size.
    """

    images: NDArray[Any]
    masks: NDArray[np.uint8] | None
    digests: NDArray[np.uint8]


def cache_folder() -> Path:
    """Where decoded data lies."""
    named = os.environ.get("MEDFED_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "medfed"


def open_decoded(table: Table, settings: DecodeSettings, folder: Path | None = None) -> Decoded:
    """The decoded table, from the cache if it is there.

    Args:
        table: what to decode.
        settings: how.
        folder: the cache, default :func:`cache_folder`.

    Raises:
        DataError: images or masks cannot be used (the first few named), or the cache cannot be written.
    """
    root = folder or cache_folder()
    final = root / content_key(table, settings)
    for _ in range(_ATTEMPTS):
        found = _load(final, settings)
        if found is not None:
            return found
        with _writable(root):
            _build(table, settings, root, final)
    raise DataError(f"{final}: the cached data is damaged again and again; set MEDFED_CACHE to another disk")


def content_key(table: Table, settings: DecodeSettings) -> str:
    """Hexadecimal BLAKE2b of all that decides the decoded values.

    Raises:
        DataError: a file is missing or cannot be read.
    """
    head = json.dumps({"version": DECODER_VERSION, **asdict(settings)}, sort_keys=True)
    digest = hashlib.blake2b(head.encode(), digest_size=20)
    faults = []
    for index, record in enumerate(table.records):
        try:
            for reference in _references(record, settings):
                content = table.store.content(reference)
                digest.update(len(content).to_bytes(8, "little") + content)
        except ImageFault as fault:
            faults.append(Fault(index, fault))
    _refuse(table, faults)
    return digest.hexdigest()


def _references(record: Record, settings: DecodeSettings) -> Iterator[str]:
    yield record.image
    if settings.num_classes is not None and record.mask is not None:
        yield record.mask


def _refuse(table: Table, faults: list[Fault]) -> None:
    if not faults:
        return
    lines = [f"{table.where(table.records[item.index])}: {item.fault}" for item in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"... and {len(faults) - _SHOWN} more; `medfed data check {table.path}` lists them")
    raise DataError("\n".join(lines))


def _build(table: Table, settings: DecodeSettings, root: Path, final: Path) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=root))  # mode 0700
    try:
        _decode_into(building, table, settings)
        sums = {path.name: _checksum(path) for path in sorted(building.glob("*.npy"))}
        (building / "checksums.json").write_text(json.dumps(sums))
        if final.exists():
            if _load(final, settings) is not None:
                return  # another process was faster
            os.rename(final, building / "damaged")
        try:
            os.rename(building, final)
        except OSError:
            if not final.exists():
                raise
        else:
            shutil.rmtree(final / "damaged", ignore_errors=True)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _decode_into(folder: Path, table: Table, settings: DecodeSettings) -> None:
    num, size = len(table.records), settings.image_size
    shape = (num, settings.channels, size, size)
    images = open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    masks = None
    if settings.num_classes is not None:
        masks = open_memmap(folder / "masks.npy", mode="w+", dtype=np.uint8, shape=(num, size, size))
    digests = np.zeros((num, DIGEST_BYTES), dtype=np.uint8)
    faults = []
    for index, record in enumerate(table.records):
        try:
            pair = load_pair(table.store, record, with_mask=masks is not None)
            image = prepare_image(pair.image, settings)
            if masks is not None and pair.mask is not None:
                masks[index] = prepare_mask(pair.mask, settings)
        except ImageFault as fault:
            faults.append(Fault(index, fault))
            continue
        if image.dtype == np.uint16 and images.dtype == np.uint8:
            images = _widened(folder, images, index)
        images[index] = image.astype(np.uint16) * 257 if image.dtype != images.dtype else image
        digests[index] = np.frombuffer(pair.digest, dtype=np.uint8)
    _refuse(table, faults)
    np.save(folder / "digests.npy", digests)
    for array in (images, masks):
        if array is not None:
            array.flush()


def _widened(folder: Path, images: np.memmap[Any, Any], done: int) -> np.memmap[Any, Any]:
    """The images so far in 16 bits (255 -> 65535), where files of both depths are mixed."""
    wide = open_memmap(folder / "wide.npy", mode="w+", dtype=np.uint16, shape=images.shape)
    for index in range(done):
        wide[index] = images[index].astype(np.uint16) * 257
    os.replace(folder / "wide.npy", folder / "images.npy")
    return wide


def _load(folder: Path, settings: DecodeSettings) -> Decoded | None:
    """An entry of the cache, or None where there is none or it is damaged."""
    try:
        sums = json.loads((folder / "checksums.json").read_text())
        if any(_checksum(folder / name) != value for name, value in sums.items()):
            return None
        images = np.load(folder / "images.npy", mmap_mode="r")
        masks = None if settings.num_classes is None else np.load(folder / "masks.npy", mmap_mode="r")
        return Decoded(images, masks, np.load(folder / "digests.npy"))
    except (OSError, ValueError, AttributeError):
        return None


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


@contextmanager
def _writable(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{root}: the cache of decoded images cannot be written ({error.strerror or error}); "
            "set the environment variable MEDFED_CACHE to a writable folder with enough space"
        ) from error
