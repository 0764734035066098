"""Memory that a worker lends with its replies, and writes the next ones into once it was given back.

A fresh memory file costs a page fault for every 4 KB in both processes, and the kernel's zeroes besides: about as much
as the copy of the update itself. A file that both have mapped already costs the copy alone; and where the codec packs
the update into it (:meth:`Lender.allocate`), that is the only copy.
"""

import os
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, RecordDict
from numpy.typing import NDArray

from simulations.engine.sharing import (
    ArrayLayout,
    RecordLayout,
    layout_of,
    map_file,
    memory_file,
    record_of,
    unmap_pages,
)

_MOST_FREE = 1  # memory that waits to be written; more was needed for a moment, and is let go
_USUAL = 2  # memories of a worker: one is read while the next is written


@dataclass(frozen=True)
class Loan:
    """Takes the place of an :class:`ArrayRecord` in what is pickled; ``is_new``: the file of the memory comes along."""

    layout: RecordLayout
    number: int
    is_new: bool


class Lender:
    """The worker's side: its memories by number, and which of them nobody reads."""

    def __init__(self) -> None:
        self._memories: dict[int, NDArray[np.uint8]] = {}
        self._free: list[int] = []
        self._written: dict[int, int] = {}  # by its address: what :meth:`allocate` gave for the next reply
        self._files: dict[int, int] = {}  # of memories that the other side does not know
        self._numbers = count()

    def allocate(self, size: int) -> NDArray[np.uint8]:
        """Memory for arrays of the next reply, good until that was sent; one that is not sent is used again."""
        fitting = [number for number in self._free if len(self._memories[number]) >= size]
        if fitting:
            self._free.remove(fitting[0])
        number = fitting[0] if fitting else self._new(size)
        memory = self._memories[number]
        self._written[memory.ctypes.data] = number
        return memory[:size]

    def _new(self, size: int) -> int:
        number = next(self._numbers)
        self._files[number] = memory_file(size)
        self._memories[number] = map_file(self._files[number], size, shared=True)
        return number

    def lend(self, content: RecordDict) -> tuple[dict[str, Any], list[int], list[int]]:
        """What to pickle of ``content``; the new files, which the caller closes; the memories that were let go."""
        parts: dict[str, Any] = dict(content)
        files: list[int] = []
        for name, record in parts.items():
            if isinstance(record, ArrayRecord):
                parts[name] = self._lent(record, files)
        self._free += self._written.values()  # packed, and not sent
        self._written.clear()
        dropped, self._free = self._free[_MOST_FREE:], self._free[:_MOST_FREE]
        for number in dropped:
            del self._memories[number]
            if number in self._files:
                os.close(self._files.pop(number))
        return parts, files, dropped

    def take_back(self, numbers: Sequence[int]) -> None:
        """The other side reads these no more."""
        self._free += numbers

    def _lent(self, record: ArrayRecord, files: list[int]) -> Loan:
        layout, number = self._packed(record) or self._copied(record)
        is_new = number in self._files
        if is_new:
            files.append(self._files.pop(number))
        return Loan(layout, number, is_new)

    def _packed(self, record: ArrayRecord) -> tuple[RecordLayout, int] | None:
        """Where the record lies if it was packed into memory of :meth:`allocate`, which then belongs to it."""
        places = [np.frombuffer(array.data, np.uint8).ctypes.data for array in record.values()]
        start = min(places, default=0)
        if start not in self._written:
            return None
        number = self._written[start]
        arrays = {
            name: ArrayLayout(
                array.dtype, tuple(array.shape), array.stype, place - start, place - start + len(array.data)
            )
            for (name, array), place in zip(record.items(), places, strict=True)
        }
        size = max(array.stop for array in arrays.values())
        if size > len(self._memories[number]):
            return None
        del self._written[start]
        return RecordLayout(arrays, size), number

    def _copied(self, record: ArrayRecord) -> tuple[RecordLayout, int]:
        layout = layout_of(record)
        memory = self.allocate(layout.size)
        for array, place in zip(record.values(), layout.arrays.values(), strict=True):
            memory[place.start : place.stop] = np.frombuffer(array.data, np.uint8)
        return layout, self._written.pop(memory.ctypes.data)


class Borrower:
    """The main process's side of one worker: its memories, each given back once no array of it is used any more.

    ``told`` is then called, by whichever thread it is.
    """

    def __init__(self, told: Callable[[], None]) -> None:
        self._memories: dict[int, NDArray[np.uint8]] = {}
        self._unread: dict[int, int] = {}  # bytes, by number
        self._returned: deque[int] = deque()  # by whichever thread drops the last array
        self._told = told

    @property
    def unread_bytes(self) -> int:
        """Of the replies' records that are still in use."""
        return sum(self._unread.copy().values())  # another thread may give back meanwhile

    def receive(self, parts: Mapping[str, Any], files: Sequence[int], dropped: Sequence[int]) -> RecordDict:
        """The inverse of :meth:`Lender.lend`; the files are closed."""
        rest = iter(files)
        content = RecordDict()
        for name, part in parts.items():
            if isinstance(part, Loan) and part.is_new:
                file = next(rest)
                self._memories[part.number] = map_file(file, part.layout.size, shared=True)
                os.close(file)
            content[name] = self._record(part) if isinstance(part, Loan) else part
        for number in dropped:
            self._memories.pop(number, None)  # it may have been let go before it was ever sent
        return content

    def rest(self, idle: bool) -> None:
        """Have no pages of memory that is read no more until it is used again, where there is more of it than usual.

        ``idle``: no reply is to come for now, so that any of it is too much: next the model is made.
        """
        memories, unread = self._memories.copy(), self._unread.copy()  # another thread may give back meanwhile
        if idle or len(memories) > _USUAL:
            for number in memories.keys() - unread.keys():
                unmap_pages(memories[number])

    def returned(self) -> list[int]:
        """The memories that were given back since the last call."""
        return [self._returned.popleft() for _ in range(len(self._returned))]

    def _record(self, loan: Loan) -> ArrayRecord:
        view = self._memories[loan.number][: loan.layout.size]  # an object of its own: its end is the loan's
        self._unread[loan.number] = loan.layout.size
        given_back = self._unread, self._returned, self._told  # not this object: the view's end is kept by all it names
        weakref.finalize(view, _give_back, loan.number, *given_back).atexit = False
        return record_of(loan.layout, view.data)


def _give_back(number: int, unread: dict[int, int], returned: deque[int], told: Callable[[], None]) -> None:
    unread.pop(number, None)
    returned.append(number)
    told()
