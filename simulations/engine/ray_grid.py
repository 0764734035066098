"""Flower's grid with a queue in front, so that on Ray too no more is under way than there are actors to work on it.

Flower hands every message to its actors at once. Here a message waits until its turn is near: what is in flight stays
bounded, a stop is honoured between two sites, and a site's deadline counts from when its work begins. A message whose
actor died is sent again, as the pool of processes does (:mod:`simulations.engine.pool`); Ray itself could do it
(``max_task_retries``), but then also starts the actors anew that Flower ends.
"""

import itertools
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from flwr.app import Error, Message, RecordDict
from flwr.app.message import make_message
from flwr.serverapp import Grid

from medfed.errors import StopRequested

_AHEAD = 2  # messages per actor, so that none is idle while Flower polls (every 0.1 s)
_ACTOR_DIED = 0  # flwr.common.constant.ErrorCode.UNKNOWN: what RaySite answers itself has another code
_PAUSES_SECONDS = (2.0, 10.0, 30.0)
"""Before a message is sent again. Some tries may be spent on an actor that is dead, but whose death Ray has not noticed
yet (1.8 s in 2.55.1), or that still imports (2 s, on a busy machine half a minute)."""


@dataclass
class _Sent:
    """A message in flight; ``inner_id`` is Flower's for it, empty until it is (again) sent, at ``not_before``."""

    message: Message
    inner_id: str = ""
    attempts: int = 0
    not_before: float = 0.0
    given_up: bool = False


class RayGrid(Grid):
    """It is a :class:`server.exchange.LocalGrid`.

    Args:
        inner: Flower's grid.
        num_actors: how many messages are worked on at a time.
        ended: set when Ray is gone; every call then raises StopRequested.
    """

    def __init__(self, inner: Grid, num_actors: int, ended: threading.Event) -> None:
        self._inner, self._num_actors, self._ended = inner, num_actors, ended
        self._numbers = itertools.count(1)
        self._queue: dict[str, Message] = {}
        self._sent: dict[str, _Sent] = {}  # oldest first

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Queue messages; the ids are counted up."""
        pushed = []
        for message in messages:
            pushed.append(str(next(self._numbers)))
            self._queue[pushed[-1]] = message
        self._feed()
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies among ``message_ids`` that are there."""
        self._alive()
        wanted = set(message_ids)
        sent = {own: sent for own, sent in self._sent.items() if sent.inner_id and (own in wanted or sent.given_up)}
        open_ids = {message.inner_id: own for own, message in sent.items()}
        arrived = list(self._inner.pull_messages(open_ids)) if open_ids else []
        replies = [self._take(open_ids[reply.metadata.reply_to_message_id], reply) for reply in arrived]
        self._feed()
        return [reply for reply in replies if reply is not None]

    def queued(self, message_id: str) -> bool:
        """Whether no actor has begun the message; they take messages in the order in which Flower got them."""
        return message_id not in itertools.islice(self._sent, self._num_actors)

    def cancel(self, message_id: str) -> None:
        """Forget a message; the actor that hangs on it ends itself (:mod:`simulations.engine.ray_site`)."""
        self._queue.pop(message_id, None)
        if message_id in self._sent:
            self._sent[message_id].given_up = True
            if not self._sent[message_id].inner_id:
                del self._sent[message_id]

    def wait(self, seconds: float) -> None:
        """Flower tells nobody when a reply arrives: all of ``seconds``, unless Ray ends."""
        self._ended.wait(seconds)

    def get_node_ids(self) -> Iterable[int]:
        """Every site, as soon as Ray runs."""
        self._alive()
        return self._inner.get_node_ids()

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """As Flower does it, past the queue: our round loop does not call it."""
        return self._inner.send_and_receive(messages, timeout=timeout)

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message, as :class:`flwr.app.Message` makes it."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    @property
    def run(self) -> object:  # type: ignore[override]
        """Flower's run."""
        return self._inner.run

    def set_run(self, run: object) -> None:
        """Flower has set it."""

    def _feed(self) -> None:
        """Send on what has come near its turn, and again what is due."""
        while self._queue and len(self._sent) < _AHEAD * self._num_actors:
            own = next(iter(self._queue))
            self._sent[own] = _Sent(self._queue.pop(own))
        for sent in self._sent.values():
            if not sent.inner_id and time.monotonic() >= sent.not_before:
                self._send(sent)

    def _send(self, sent: _Sent) -> None:
        metadata = sent.message.metadata
        copy = Message(  # Flower writes into what it is given
            sent.message.content,
            metadata.dst_node_id,
            metadata.message_type,
            ttl=metadata.ttl,
            group_id=metadata.group_id,
        )
        (sent.inner_id,) = self._inner.push_messages([copy])
        sent.attempts += 1

    def _take(self, own: str, reply: Message) -> Message | None:
        """The reply as the round loop shall see it; None where it is not wanted, or not the last word."""
        sent = self._sent[own]
        died = reply.has_error() and reply.error.code == _ACTOR_DIED
        if died and not sent.given_up and sent.attempts <= len(_PAUSES_SECONDS):
            sent.inner_id, sent.not_before = "", time.monotonic() + _PAUSES_SECONDS[sent.attempts - 1]
            return None
        del self._sent[own]
        if sent.given_up:
            return None
        if died:
            cause = f"its Ray actor died, {sent.attempts} times in a row\n{reply.error.reason}"
            reply = make_message(reply.metadata, error=Error(_ACTOR_DIED, cause))
        reply.metadata.__dict__["_reply_to_message_id"] = own
        return reply

    def _alive(self) -> None:
        if self._ended.is_set():
            raise StopRequested("Ray has ended")
