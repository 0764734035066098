"""Memory that a worker lends with its replies, and writes the next ones into once it was given back.

A fresh memory file costs a page fault for every 4 KB in both processes, and the kernel's zeroes besides: about as much
as the copy of the update itself. A file that both have mapped already costs the copy alone.
"""

import os
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, RecordDict
from numpy.typing import NDArray

from simulations.engine.sharing import RecordLayout, layout_of, map_file, memory_file, record_of

_MOST_FREE = 1  # memory that waits to be written; more was needed for a moment, and is let go


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
        self._numbers = count()

    def lend(self, content: RecordDict) -> tuple[dict[str, Any], list[int], list[int]]:
        """What to pickle of ``content``; the new files, which the caller closes; the memories that were let go."""
        parts: dict[str, Any] = dict(content)
        files: list[int] = []
        for name, record in parts.items():
            if isinstance(record, ArrayRecord):
                parts[name] = self._write(record, files)
        dropped, self._free = self._free[_MOST_FREE:], self._free[:_MOST_FREE]
        for number in dropped:
            del self._memories[number]
        return parts, files, dropped

    def take_back(self, numbers: Sequence[int]) -> None:
        """The other side reads these no more."""
        self._free += numbers

    def _write(self, record: ArrayRecord, files: list[int]) -> Loan:
        layout = layout_of(record)
        fitting = [number for number in self._free if len(self._memories[number]) >= layout.size]
        if fitting:
            number = fitting[0]
            self._free.remove(number)
        else:
            number = next(self._numbers)
            files.append(memory_file(layout.size))
            self._memories[number] = map_file(files[-1], layout.size, shared=True)
        memory = self._memories[number]
        for array, place in zip(record.values(), layout.arrays.values(), strict=True):
            memory[place.start : place.stop] = np.frombuffer(array.data, np.uint8)
        return Loan(layout, number, not fitting)


class Borrower:
    """The main process's side of one worker: its memories, each given back once no array of it is used any more."""

    def __init__(self) -> None:
        self._memories: dict[int, NDArray[np.uint8]] = {}
        self._returned: deque[int] = deque()  # by whichever thread drops the last array

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
            del self._memories[number]
        return content

    def returned(self) -> list[int]:
        """The memories that were given back since the last call."""
        return [self._returned.popleft() for _ in range(len(self._returned))]

    def _record(self, loan: Loan) -> ArrayRecord:
        view = self._memories[loan.number][: loan.layout.size]  # an object of its own: its end is the loan's
        weakref.finalize(view, self._returned.append, loan.number).atexit = False
        return record_of(loan.layout, view.data)
