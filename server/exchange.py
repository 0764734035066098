"""Messages out, replies back in the fixed order of site names, through a bounded window.

At most ``window`` messages are open or waiting to be handed on, so that memory stays flat, and what the
caller sees does not depend on who answered first.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol, runtime_checkable

from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from medfed import events, site_fault
from medfed.config import Scenario
from medfed.params import num_bytes
from medfed.results import Failure
from medfed.types import Weights

POLL_SECONDS = 0.1

_MEGABYTE = 1_000_000

__all__ = ["Fault", "LocalGrid", "MessageType", "Reply", "announce", "batches_of", "exchange", "window_size"]


@dataclass(frozen=True)
class Fault:
    """Why a site's reply is missing; ``detail`` is a traceback where the grid may show one."""

    failure: Failure
    detail: str = ""


Reply = RecordDict | Fault


@runtime_checkable
class LocalGrid(Protocol):
    """A grid that runs the sites itself, a few at a time: only it knows which message is being worked on.

    Train messages that are pushed in one call are a batch: the grid may have their sites trained together.
    """

    def queued(self, message_id: str) -> bool:
        """Whether nobody works on the message yet."""
        ...

    def cancel(self, message_id: str) -> None:
        """Give the message up; whoever hangs on it is ended."""
        ...

    def wait(self, seconds: float) -> None:
        """Block until a reply may be there, at most ``seconds``."""
        ...


def window_size(scenario: Scenario, weights: Weights) -> int:
    """How many messages may be in flight within ``engine.window_mb``; at least one."""
    return max(1, scenario.engine.window_mb * _MEGABYTE // max(1, num_bytes(weights)))


def exchange(
    grid: Grid,
    nodes: Mapping[str, int],
    message_type: str,
    content: Callable[[str], RecordDict],
    *,
    round_number: int,
    deadline_seconds: float,
    window: int,
    cost: Mapping[str, float] | None = None,
    together: int = 1,
    arrived: Callable[[str, RecordDict], None] | None = None,
) -> Iterator[tuple[str, Reply]]:
    """Send ``content(site)`` to every node of ``nodes`` (site -> node id); yield ``(site, reply)`` by site name.

    A site that has not answered ``deadline_seconds`` after its message left is a fault with code ``deadline``; on a
    :class:`LocalGrid` they count from when it began to work. ``cost`` is the work expected of each site, in any unit:
    of the sites that fit into the window, the one with the most is asked first, so that it is not the last to end.
    So many sites as ``together`` says, one name after the other, are pushed in one call. Such a batch is never cut, be
    it larger than the window, so that who is in it depends on ``nodes`` alone.
    ``arrived`` is called with every reply that is no fault as soon as it is there, before its turn to be handed on.
    """
    waiting = sorted(nodes)
    todo = batches_of(waiting, together)
    flight = _Flight(grid, deadline_seconds, arrived)
    while waiting:
        for batch in _dearest_first(_take_fitting(todo, window - flight.size, window), cost or {}):
            made = [Message(content(site), nodes[site], message_type, group_id=str(round_number)) for site in batch]
            flight.push(batch, made)
        idle = not flight.pull()
        if idle:  # a grid that works through its queue is not late while it delivers
            flight.expire()
        while waiting and waiting[0] in flight.ready:
            idle = False
            site = waiting.pop(0)
            yield site, flight.ready.pop(site)
        if idle:
            flight.wait()


def batches_of(sites: Sequence[str], size: int) -> list[list[str]]:
    """``sites`` cut into lists of ``size``, the last maybe shorter."""
    return [list(sites[start : start + size]) for start in range(0, len(sites), size)]


def _take_fitting(todo: list[list[str]], room: int, window: int) -> list[list[str]]:
    """Take from the front of ``todo`` what has room; a batch larger than the window goes where nothing is in flight."""
    taken = []
    while todo and (len(todo[0]) <= room or room == window):
        taken.append(todo.pop(0))
        room -= len(taken[-1])
    return taken


def _dearest_first(batches: list[list[str]], cost: Mapping[str, float]) -> list[list[str]]:
    return sorted(batches, key=lambda batch: (-max(cost.get(site, 0.0) for site in batch), batch))


class _Flight:
    """The messages on their way, and the replies whose turn has not come."""

    def __init__(self, grid: Grid, deadline_seconds: float, arrived: Callable[[str, RecordDict], None] | None) -> None:
        self._grid = grid
        self._local = grid if isinstance(grid, LocalGrid) else None
        self._seconds = deadline_seconds
        self._arrived = arrived
        self._open: dict[str, str] = {}  # message id -> site
        self._since: dict[str, float] = {}  # message id -> when its clock began to run, in seconds
        self._next_look = 0.0
        self.ready: dict[str, Reply] = {}

    @property
    def size(self) -> int:
        return len(self._open) + len(self.ready)

    def push(self, sites: Sequence[str], messages: Sequence[Message]) -> None:
        for site, message_id in zip_longest(sites, self._grid.push_messages(messages), fillvalue=""):
            if not message_id:
                self.ready[site] = _fault(site, "push", "the message could not be sent", "is the site connected?")
                continue
            self._open[message_id] = site
            if self._local is None:
                self._since[message_id] = time.monotonic()

    def pull(self) -> int:
        """Take what has arrived and count it. No reply stays here once it was handed on, since it may be large."""
        arrived = list(self._grid.pull_messages(list(self._open))) if self._open else []
        for reply in arrived:
            site = self._close(reply.metadata.reply_to_message_id)
            found = self.ready[site] = _read(site, reply)
            if self._arrived is not None and not isinstance(found, Fault):
                self._arrived(site, found)
        return len(arrived)

    def expire(self) -> None:
        """Give up those who are late; the clock of a queued message starts when it is first seen to be worked on."""
        now = time.monotonic()
        if now < self._next_look:  # thousands of messages may be open, and nobody is late by so little
            return
        self._next_look = now + POLL_SECONDS
        for message_id in list(self._open):
            if message_id not in self._since:
                if self._local is not None and not self._local.queued(message_id):
                    self._since[message_id] = now
            elif now - self._since[message_id] > self._seconds:
                site = self._close(message_id)
                cause = f"no reply within {self._seconds:g} s"
                self.ready[site] = _fault(site, "deadline", cause, "raise federation.deadline_seconds")
                if self._local is not None:
                    self._local.cancel(message_id)

    def wait(self) -> None:
        """Until a reply may be there, or somebody may be late."""
        if self._local is not None:
            self._local.wait(POLL_SECONDS)
        else:
            time.sleep(POLL_SECONDS)

    def _close(self, message_id: str) -> str:
        self._since.pop(message_id, None)
        return self._open.pop(message_id)


def _read(site: str, reply: Message) -> Reply:
    if not reply.has_error():
        return reply.content
    reason = reply.error.reason or "no reason given"
    cause, _, detail = reason.partition("\n")
    told = site_fault.read(reason)
    if told is not None:
        return _fault(site, told.code, told.cause, told.remedy, detail)
    return _fault(site, f"flower-{reply.error.code}", cause, "see the log of the site", detail)


def _fault(site: str, code: str, cause: str, remedy: str, detail: str = "") -> Fault:
    return Fault(Failure(site=site, code=code, cause=cause, remedy=remedy), detail)


def announce(fault: Fault, round_number: int) -> None:
    """Tell whoever watches that a site failed."""
    failure = fault.failure
    said = f"{failure.cause}; {failure.remedy} [{failure.code}]"
    events.emit(events.SiteFailed(round_number, failure.site, said, fault.detail))
