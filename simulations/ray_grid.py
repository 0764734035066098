"""Flower's grid with a queue in front, so that on Ray too no more is under way than there are actors to work on it.

Flower hands every message to its actors at once. Here a message waits until its turn is near: what is in flight stays
bounded, a stop is honoured between two sites, and a site's deadline counts from when its work begins.
"""

import itertools
import threading
from collections.abc import Iterable

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from medfed.errors import StopRequested

_AHEAD = 2  # messages per actor, so that none is idle while Flower polls (every 0.1 s)


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
        self._inner_ids: dict[str, str] = {}  # ours -> Flower's, of messages in flight, oldest first
        self._given_up: set[str] = set()  # an actor may still be busy with them

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Queue messages; the ids are counted up."""
        pushed = []
        for message in messages:
            message_id = str(next(self._numbers))
            self._queue[message_id] = message
            pushed.append(message_id)
        self._feed()
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies among ``message_ids`` that are there."""
        self._alive()
        wanted = set(message_ids) | self._given_up
        ours = {inner: own for own, inner in self._inner_ids.items() if own in wanted}
        replies = list(self._inner.pull_messages(ours)) if ours else []
        found = []
        for reply in replies:
            own = ours[reply.metadata.reply_to_message_id]
            del self._inner_ids[own]
            reply.metadata.__dict__["_reply_to_message_id"] = own
            if own not in self._given_up:
                found.append(reply)
        self._given_up &= self._inner_ids.keys()
        self._feed()
        return found

    def queued(self, message_id: str) -> bool:
        """Whether no actor has begun the message; Flower's actors take them in the order in which they were sent."""
        return message_id not in itertools.islice(self._inner_ids, self._num_actors)

    def cancel(self, message_id: str) -> None:
        """Forget a message; its actor ends itself at the deadline (:mod:`simulations.ray_site`)."""
        if self._queue.pop(message_id, None) is None:
            self._given_up.add(message_id)

    def wait(self, seconds: float) -> None:
        """Flower tells nobody when a reply arrives: all of ``seconds``, unless Ray ends."""
        self._ended.wait(seconds)

    def get_node_ids(self) -> Iterable[int]:
        """Every site, as soon as Ray runs."""
        self._alive()
        return self._inner.get_node_ids()

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Not used by our round loop, and not queued."""
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
        """Send on what has come near its turn."""
        while self._queue and len(self._inner_ids) < _AHEAD * self._num_actors:
            own = next(iter(self._queue))
            (inner,) = self._inner.push_messages([self._queue.pop(own)])
            self._inner_ids[own] = inner

    def _alive(self) -> None:
        if self._ended.is_set():
            raise StopRequested("Ray has ended")
