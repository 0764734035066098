"""Messages out, replies back in the fixed order of site names, through a bounded window.

At most ``window`` messages are open or waiting to be handed on, so that memory stays flat, and what the
caller sees does not depend on who answered first.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from medfed import events
from medfed.config import Scenario
from medfed.params import num_bytes
from medfed.results import Failure
from medfed.types import Weights

POLL_SECONDS = 0.1

_MEGABYTE = 1_000_000

__all__ = ["Fault", "MessageType", "Reply", "announce", "exchange", "window_size"]


@dataclass(frozen=True)
class Fault:
    """Why a site's reply is missing; ``detail`` is a traceback where the grid may show one."""

    failure: Failure
    detail: str = ""


Reply = RecordDict | Fault


def window_size(scenario: Scenario, weights: Weights) -> int:
    """How many messages may be in flight within ``engine.window_mb``; at least one."""
    return max(1, scenario.engine.window_mb * _MEGABYTE // max(1, num_bytes(weights)))


def exchange(
    grid: Grid,
    nodes: Mapping[str, int],
    message_type: str,
    content: Callable[[], RecordDict],
    *,
    round_number: int,
    deadline_seconds: float,
    window: int,
) -> Iterator[tuple[str, Reply]]:
    """Send ``content()`` to every node of ``nodes`` (site -> node id) and yield ``(site, reply)`` by site name.

    A site that has not answered ``deadline_seconds`` after its message left is a fault with code ``deadline``.
    """
    waiting = sorted(nodes)
    todo = list(waiting)
    open_messages: dict[str, tuple[str, float]] = {}
    ready: dict[str, Reply] = {}
    while waiting:
        while todo and len(open_messages) + len(ready) < window:
            site = todo.pop(0)
            message = Message(content(), nodes[site], message_type, group_id=str(round_number))
            (message_id,) = list(grid.push_messages([message])) or ("",)
            if message_id:
                open_messages[message_id] = (site, time.monotonic() + deadline_seconds)
            else:
                ready[site] = _fault(site, "push", "the message could not be sent", "is the site connected?")
        arrived = list(grid.pull_messages(list(open_messages))) if open_messages else []
        for reply in arrived:
            site, _ = open_messages.pop(reply.metadata.reply_to_message_id)
            ready[site] = _read(site, reply)
        if not arrived:  # a grid that works through its queue is not late while it delivers
            _expire(open_messages, ready, deadline_seconds)
        while waiting and waiting[0] in ready:
            site = waiting.pop(0)
            yield site, ready.pop(site)
        if open_messages and not arrived:
            time.sleep(POLL_SECONDS)


def _read(site: str, reply: Message) -> Reply:
    if not reply.has_error():
        return reply.content
    cause, _, detail = (reply.error.reason or "no reason given").partition("\n")
    return _fault(site, f"flower-{reply.error.code}", cause, "see the log of the site", detail)


def _expire(open_messages: dict[str, tuple[str, float]], ready: dict[str, Reply], seconds: float) -> None:
    now = time.monotonic()
    for message_id, (site, deadline) in list(open_messages.items()):
        if now > deadline:
            del open_messages[message_id]
            ready[site] = _fault(
                site, "deadline", f"no reply within {seconds:g} s", "raise federation.deadline_seconds"
            )


def _fault(site: str, code: str, cause: str, remedy: str, detail: str = "") -> Fault:
    return Fault(Failure(site=site, code=code, cause=cause, remedy=remedy), detail)


def announce(fault: Fault, round_number: int) -> None:
    """Tell whoever watches that a site failed."""
    failure = fault.failure
    events.emit(events.SiteFailed(round_number, failure.site, f"{failure.cause}; {failure.remedy}", fault.detail))
