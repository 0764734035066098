"""All runs of the matrix, in a few processes, each of which has one run at a time.

They are those of the engine (:mod:`simulations.engine.processes`): they begin with all imports done, and none outlives
this process, however it ends.
"""

import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from simulations.benchmarks.poisoning import pair as one
from simulations.benchmarks.poisoning.plan import Pair
from simulations.engine import processes
from simulations.engine.channel import Channel

_Queue = list[Pair]
_Hired = dict[Channel, processes.Process]


def work(
    pairs: Sequence[Pair], out: Path, workers: int, end: float = float("inf")
) -> Iterator[tuple[Pair, one.Outcome]]:
    """Do what is not done; yields every run as it ends, those that were done first.

    Args:
        pairs: what is wanted.
        out: where outcomes are kept.
        workers: processes; 1 is this one.
        end: no run begins after it, of :func:`time.monotonic`.

    Raises:
        RuntimeError: a process died.
    """
    out.mkdir(parents=True, exist_ok=True)
    twins: dict[str, list[Pair]] = {}  # the same run under several numbers of malicious sites
    for pair in pairs:
        twins.setdefault(pair.label, []).append(pair)
    todo: _Queue = []
    for same in twins.values():
        found = one.stored(same[0], out)
        if found is None:
            todo.append(same[0])
        else:
            yield from ((pair, found) for pair in same)
    if not todo or time.monotonic() >= end:
        return
    for pair, outcome in _here(todo, out, end) if min(workers, len(todo)) < 2 else _beside(todo, out, workers, end):
        yield from ((twin, outcome) for twin in twins[pair.label])


def _here(todo: _Queue, out: Path, end: float) -> Iterator[tuple[Pair, one.Outcome]]:
    for pair in todo:
        if time.monotonic() >= end:
            return
        yield pair, one.run(pair, out)


def _beside(todo: _Queue, out: Path, workers: int, end: float) -> Iterator[tuple[Pair, one.Outcome]]:
    """A process that is free goes on in its column, whose runs are alike, and then with a column of its own."""
    columns: dict[tuple[str, int, int], _Queue] = {}
    for pair in todo:
        columns.setdefault(pair.column, []).append(pair)
    waiting = list(columns.values())
    with _hired(min(workers, len(waiting)), out) as hired:
        queues: dict[Channel, _Queue] = {channel: [] for channel in hired}
        busy: dict[Channel, Pair] = {}
        free = list(hired)
        while free or busy:
            for channel in free:
                queue = queues[channel] = queues[channel] or (waiting.pop(0) if waiting else [])
                if queue and time.monotonic() < end:
                    busy[channel] = queue.pop(0)
                    channel.send(busy[channel])
            free = select.select(list(busy), [], [])[0] if busy else []
            for channel in free:
                pair = busy.pop(channel)
                try:
                    yield pair, channel.receive()[0]
                except EOFError:
                    how = processes.describe(hired[channel].wait())
                    raise RuntimeError(f"the process of {pair.label} died ({how}); the same command goes on") from None


@contextmanager
def _hired(number: int, out: Path) -> Iterator[_Hired]:
    """So many processes, and what they are spoken to by; ended with the block, whatever they are at."""
    hired: _Hired = {}
    try:
        for _ in range(number):
            ours, theirs = Channel.pair()
            hired[ours] = processes.start(f"{__name__}:serve", [str(out)], [theirs.fileno()])
            theirs.close()
        yield hired
    finally:
        for channel, process in hired.items():
            process.kill()
            process.wait()
            channel.close()


def serve(out: str, file: int) -> None:
    """In a process: do what is asked by the socket ``file``, until it is closed."""
    torch.set_num_threads(1)
    channel = Channel(socket.socket(fileno=file))
    with suppress(EOFError, ConnectionError):
        while True:
            channel.send(one.run(channel.receive()[0], Path(out)))
