"""A worker process and its task, as the pool in the main process sees them."""

import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from flwr.app import Error, Message, UserConfig
from flwr.app.message import make_message

from simulations.engine import processes
from simulations.engine.channel import Channel
from simulations.engine.lending import Borrower
from simulations.engine.sharing import share

TRIES = 2
_CLIENT_APP_CRASHED = 8  # flwr.common.constant.ErrorCode


@dataclass(eq=False)
class Task:
    """Messages for one worker, each to be answered by the node of its configuration.

    More than one are a batch, whose sites are trained together. ``tries``: how often a worker began.
    """

    messages: list[Message]
    configs: list[UserConfig]
    tries: int = 0
    running: bool = False
    cancelled: bool = False

    @property
    def ids(self) -> list[str]:
        """The messages'."""
        return [message.metadata.message_id for message in self.messages]

    def singly(self) -> list["Task"]:
        """A task for each message."""
        return [Task([message], [config]) for message, config in zip(self.messages, self.configs, strict=True)]


class Worker:
    """A worker process as the pool sees it, and the task that it works on.

    ``read`` is called, by any thread, when the arrays of a reply are used no more.
    """

    def __init__(self, app: str, together: str, read: Callable[[], None]) -> None:
        self.channel, theirs = Channel.pair()
        try:
            self.process = processes.start("simulations.engine.worker:serve", [app, together], [theirs.fileno()])
        finally:
            theirs.close()
        self.task: Task | None = None
        self.num_open = 0  # replies to come
        self._borrower = Borrower(read)

    @property
    def unread_bytes(self) -> int:
        """Of its replies' records that are still in use."""
        return self._borrower.unread_bytes

    def rest(self, idle: bool) -> None:
        """Hold less of what its replies were read from; ``idle``: nobody works."""
        self._borrower.rest(idle)

    def take(self, task: Task) -> None:
        """Begin ``task``; a worker that is dead is found out by whoever waits for it."""
        self.task, self.num_open = task, len(task.messages)
        contents = [share(message.content) for message in task.messages]  # a fault of ours comes out here
        with suppress(ConnectionError):
            for left, message, config, (parts, shared) in zip(
                reversed(range(self.num_open)), task.messages, task.configs, contents, strict=True
            ):
                head = left, self._borrower.returned(), message.metadata
                self.channel.send((*head, parts, config), [record.file.fileno() for record in shared])

    def reply(self) -> Message:
        """The reply that it has sent.

        Raises:
            EOFError: it is gone.
        """
        if not self.channel.readable():  # so it is its end that woke us, however many of its children live
            raise EOFError
        (metadata, parts, error, dropped), files = self.channel.receive()
        self.num_open -= 1
        if not self.num_open:
            self.task = None
        if error is not None:
            return make_message(metadata, error=Error(*error))
        return make_message(metadata, self._borrower.receive(parts, files, dropped))

    def close(self) -> int:
        """End it, at once if it is busy; the exit code."""
        if self.task is not None:
            self.process.kill()
        self.channel.close()
        return self.process.wait()


def death(returncode: int) -> Error:
    """What is told of a site whose worker died at every try."""
    remedy = "see what it printed"
    if returncode == -signal.SIGKILL:
        remedy = "out of memory? lower engine.workers, training.batch_size or data.image_size"
    cause = f"its worker process died {TRIES} times, the last time {processes.describe(returncode)}; {remedy}"
    return Error(_CLIENT_APP_CRASHED, cause)
