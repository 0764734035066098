"""Records between processes: arrays through shared memory, the rest as it is.

An :class:`flwr.app.ArrayRecord` is written once into a memory file without a name (``memfd_create``) and mapped by
whoever gets its descriptor. Such a file needs no folder, is not bounded by the size of /dev/shm (64 MB in a
container), and is gone with the last process that holds it, however that process ends.
"""

import ctypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, RecordDict
from numpy.typing import NDArray

_MADV_DONTNEED, _MADV_POPULATE_READ, _MADV_POPULATE_WRITE = 4, 22, 23  # linux/mman.h
_LIBC = ctypes.CDLL(None)
_ALIGNMENT = 64  # bytes; that of torch's own allocator
_ATTRIBUTE = "_medfed_shared"


@dataclass(frozen=True)
class ArrayLayout:
    """Where one array lies in the memory of its record, in bytes, and how it is to be read."""

    dtype: str
    shape: tuple[int, ...]
    stype: str
    start: int
    stop: int


@dataclass(frozen=True)
class RecordLayout:
    """Takes the place of an :class:`ArrayRecord` in what is pickled; ``size`` is in bytes."""

    arrays: dict[str, ArrayLayout]
    size: int


class SharedRecord:
    """A record in shared memory, which is kept while this object lives (and where it is mapped)."""

    def __init__(self, record: ArrayRecord) -> None:
        self.layout = layout_of(record)
        self.file = os.fdopen(memory_file(self.layout.size), "wb", buffering=0)
        for array, place in zip(record.values(), self.layout.arrays.values(), strict=True):
            self.file.seek(place.start)
            rest = memoryview(array.data)
            while rest:  # one write takes at most 2 GiB
                rest = rest[self.file.write(rest) :]
        # so that it is in memory once; its pages are mapped where they are read, which here is nowhere as a rule
        memory = map_file(self.file.fileno(), self.layout.size, shared=False, populate=False)
        for array, place in zip(record.values(), self.layout.arrays.values(), strict=True):
            array.data = memory.data[place.start : place.stop]  # type: ignore[assignment]  # nor does Array.data


def layout_of(record: ArrayRecord) -> RecordLayout:
    """Its arrays, one after the other."""
    arrays: dict[str, ArrayLayout] = {}
    end = 0
    for name, array in record.items():
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        end = start + len(array.data)
        arrays[name] = ArrayLayout(array.dtype, tuple(array.shape), array.stype, start, end)
    return RecordLayout(arrays, end)


def memory_file(size: int) -> int:
    """The descriptor of a new memory file of ``size`` zero bytes."""
    file = os.memfd_create("medfed")
    os.ftruncate(file, size)
    return file


def share(content: RecordDict) -> tuple[dict[str, Any], list[SharedRecord]]:
    """What to pickle of ``content``, and its arrays in the order in which :func:`receive` wants them.

    A record that comes again (the weights of a round, in the message to every site) is written only once; its memory
    lives as long as the record, which must not be changed any more.
    """
    parts: dict[str, Any] = dict(content)
    shared = []
    for name, record in parts.items():
        if isinstance(record, ArrayRecord):
            shared.append(_kept(record))
            parts[name] = shared[-1].layout
    return parts, shared


def _kept(record: ArrayRecord) -> SharedRecord:
    known = vars(record)
    if _ATTRIBUTE not in known:
        known[_ATTRIBUTE] = SharedRecord(record)
    found: SharedRecord = known[_ATTRIBUTE]
    return found


def receive(parts: Mapping[str, Any], files: Sequence[int]) -> RecordDict:
    """The inverse of :func:`share`; the descriptors are closed, the memory is freed with the records.

    Arrays are private: what is written into them is seen by nobody else.
    """
    rest = iter(files)
    return RecordDict(
        {name: _record(part, next(rest)) if isinstance(part, RecordLayout) else part for name, part in parts.items()}
    )


def _record(layout: RecordLayout, file: int) -> ArrayRecord:
    try:
        return record_of(layout, map_file(file, layout.size, shared=False).data)
    finally:
        os.close(file)


def record_of(layout: RecordLayout, memory: memoryview) -> ArrayRecord:
    """The record that lies in ``memory``, not copied."""
    record = ArrayRecord()
    for name, place in layout.arrays.items():  # one by one: from a dict, the constructor takes bytes only
        record[name] = _array(place, memory)
    return record


def _array(place: ArrayLayout, memory: memoryview) -> Array:
    array = Array(place.dtype, place.shape, place.stype, b"")
    array.data = memory[place.start : place.stop]  # type: ignore[assignment]  # nor does Array's
    return array


def map_file(file: int, size: int, *, shared: bool, populate: bool = True) -> NDArray[np.uint8]:
    """The memory of a file: the same for all who map it ``shared``, else copied when it is written to.

    ``populate``: all of it is about to be used.

    It is mapped while an array of it lives. Not by ``mmap``, which keeps a descriptor open for every mapping.
    """
    if not size:
        return np.empty(0, np.uint8)
    found = torch.from_file(f"/proc/self/fd/{file}", shared=shared, size=size, dtype=torch.uint8)
    if populate:
        # By one call that lets other threads run, and not page by page; before Linux 5.14 it is refused, and they are.
        _advise(found.data_ptr(), size, _MADV_POPULATE_WRITE if shared else _MADV_POPULATE_READ)
    memory: NDArray[np.uint8] = found.numpy()
    return memory


def unmap_pages(memory: NDArray[np.uint8]) -> None:
    """Have the pages of a ``shared`` file no more in this process until it uses them; what is in the file stays."""
    if len(memory):
        _advise(memory.ctypes.data, len(memory), _MADV_DONTNEED)


def _advise(start: int, size: int, how: int) -> None:
    _LIBC.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), how)
