"""Flower grids inside this machine: they call the ClientApp directly. No Ray, no SuperLink, no polling.

In one process, messages wait in a queue until their replies are asked for; each pull runs one of them, so that no
more than one reply is made ahead of the reader and a stop request is honoured between two sites. With worker
processes they are answered as workers are free, in the order in which they were pushed.

Train messages that are pushed in one call are a batch: a function of the app (``together``) trains their sites at once,
and gives back what answers each of them.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType

from flwr.app import Context, Message, MessageType, RecordDict, UserConfig
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from medfed import events
from simulations.engine.pool import Pool
from simulations.engine.worker import answer, load

Answer = Callable[[Message, Context], Message]
Together = Callable[[Sequence[Message], Sequence[Context]], Sequence[Answer]]

_SERVER_NODE = 1
_FIRST_SITE_NODE = 2
_WAIT_SECONDS = 1.0  # a reply ends it at once


class _MachineGrid(Grid):
    """Nodes are sites, numbered in the order of their names; a context manager, whose end ends what it started."""

    def __init__(self, node_configs: Mapping[str, UserConfig]) -> None:
        # Flower stamps every message with the identity of the task in this process.
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, _SERVER_NODE
        self._sites = {_FIRST_SITE_NODE + i: site for i, site in enumerate(sorted(node_configs))}
        self._configs = {node: dict(node_configs[site]) for node, site in self._sites.items()}
        self._numbers = itertools.count(1)
        self._batches = False

    def __enter__(self) -> "_MachineGrid":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, reason: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing was started."""

    def get_node_ids(self) -> Iterable[int]:
        """Every site, always."""
        return list(self._sites)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Queue messages; the ids are counted up."""
        given = list(messages)
        for message in given:
            message.metadata.__dict__["_message_id"] = str(next(self._numbers))
        all_train = all(message.metadata.message_type == MessageType.TRAIN for message in given)
        if self._batches and len(given) > 1 and all_train:
            self._queue_batch(given)
        else:
            for message in given:
                self._queue_up(message)
        return [message.metadata.message_id for message in given]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Wait for every reply; ``timeout`` cannot interrupt a site and is not used."""
        waiting, replies = set(self.push_messages(messages)), list[Message]()
        while waiting:
            self.wait(_WAIT_SECONDS)
            arrived = list(self.pull_messages(waiting))
            replies += arrived
            waiting -= {reply.metadata.reply_to_message_id for reply in arrived}
        return replies

    def wait(self, seconds: float) -> None:
        """Return as soon as a reply may be there, or ``seconds`` are over."""
        raise NotImplementedError

    def _queue_up(self, message: Message) -> None:
        raise NotImplementedError

    def _queue_batch(self, messages: list[Message]) -> None:
        raise NotImplementedError

    def _announce(self, message: Message) -> None:
        site = self._sites[message.metadata.dst_node_id]
        events.emit(events.SiteStarted(site, message.metadata.message_type))

    @property
    def run(self) -> None:  # type: ignore[override]
        """There is no Flower run here."""

    def set_run(self, run: object) -> None:
        """There is no Flower run here."""

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message, as :class:`flwr.app.Message` makes it."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)


class InProcessGrid(_MachineGrid):
    """Everything in this process; ``node_configs`` gives each site's own configuration by site name.

    It is a :class:`server.exchange.LocalGrid`. ``together`` trains the sites of a batch; without it there are none.
    """

    def __init__(
        self, client_app: ClientApp, node_configs: Mapping[str, UserConfig], together: Together | None = None
    ) -> None:
        super().__init__(node_configs)
        self._app, self._together = client_app, together
        self._batches = together is not None
        self._contexts = {node: Context(1, node, config, RecordDict(), {}) for node, config in self._configs.items()}
        self._queue: dict[str, Message] = {}
        self._mates: dict[str, list[Message]] = {}  # by message id: its batch, until one of them is asked for
        self._answers: dict[str, Answer] = {}  # by message id: of a batch that was trained

    def _queue_up(self, message: Message) -> None:
        self._queue[message.metadata.message_id] = message

    def _queue_batch(self, messages: list[Message]) -> None:
        for message in messages:
            self._queue_up(message)
            self._mates[message.metadata.message_id] = messages

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Run the first queued message among ``message_ids`` and return its reply."""
        for message_id in message_ids:
            if message_id in self._queue:
                return [self._run(self._queue.pop(message_id))]
        return []

    def queued(self, message_id: str) -> bool:
        """Whether it was not asked for; what is asked for is answered within the same call."""
        return message_id in self._queue

    def cancel(self, message_id: str) -> None:
        """Forget a queued message."""
        self._queue.pop(message_id, None)
        self._answers.pop(message_id, None)

    def wait(self, seconds: float) -> None:
        """Not at all: the next pull runs a message."""

    def _run(self, message: Message) -> Message:
        message_id = message.metadata.message_id
        if message_id in self._mates:
            self._train(self._mates[message_id])
        elif message_id not in self._answers:
            self._announce(message)
        answering = self._answers.pop(message_id, self._app)
        return answer(answering, message, self._contexts[message.metadata.dst_node_id])

    def _train(self, batch: list[Message]) -> None:
        assert self._together is not None
        for message in batch:
            self._announce(message)
            del self._mates[message.metadata.message_id]
        answers = self._together(batch, [self._contexts[message.metadata.dst_node_id] for message in batch])
        for message, answering in zip(batch, answers, strict=True):
            self._answers[message.metadata.message_id] = answering


class PoolGrid(_MachineGrid):
    """``workers`` processes; a context manager. It is a :class:`server.exchange.LocalGrid`.

    Every message gets a fresh context: what a site must remember, it keeps in files of its own.

    Args:
        client_app: ``module:attribute``, imported by the workers.
        node_configs: each site's own configuration by site name.
        workers: number of processes; they are started as messages come.
        together: ``module:attribute`` of what trains the sites of a batch; empty: there are no batches.
    """

    def __init__(
        self, client_app: str, node_configs: Mapping[str, UserConfig], workers: int, together: str = ""
    ) -> None:
        super().__init__(node_configs)
        self._batches = bool(together)
        self._pool = Pool(client_app, workers, together)

    def close(self) -> None:
        """End the workers, at once if they are busy."""
        self._pool.close()

    def _queue_up(self, message: Message) -> None:
        self._queue_batch([message])

    def _queue_batch(self, messages: list[Message]) -> None:
        self._pool.submit(messages, [self._configs[message.metadata.dst_node_id] for message in messages])

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies among ``message_ids`` that are there."""
        for message in self._pool.started():
            self._announce(message)
        return self._pool.replies(message_ids)

    def queued(self, message_id: str) -> bool:
        """Whether no worker has begun the message."""
        return self._pool.queued(message_id)

    def cancel(self, message_id: str) -> None:
        """Forget a message and its batch; a worker that hangs on it is killed, another started when it is needed."""
        self._pool.cancel(message_id)

    def wait(self, seconds: float) -> None:
        """Return as soon as a reply is there, or ``seconds`` are over."""
        self._pool.wait(seconds)


def local_grid(
    client_app: str, node_configs: Mapping[str, UserConfig], workers: int, together: str = ""
) -> InProcessGrid | PoolGrid:
    """One worker is this process; more are processes, at most one per site. To be closed, as a context manager.

    Args:
        client_app: ``module:attribute``.
        node_configs: each site's own configuration by site name.
        workers: at least 1; the number changes no reply.
        together: ``module:attribute`` of what trains the sites of a batch; empty: each is trained by itself.
    """
    if workers == 1:
        return InProcessGrid(load(client_app), node_configs, load(together) if together else None)
    return PoolGrid(client_app, node_configs, min(workers, max(1, len(node_configs))), together)
