"""A pool of worker processes, fed by a thread, so that none waits while the main process folds an update.

A worker is started when there is work for it, and taken out when it died; the message that it worked on is tried once
more by another; a batch of messages (:class:`simulations.engine.worker_handle.Task`) that fails twice is then taken
apart, so that it costs only the site that it dies of. Only the thread touches the workers; what both threads touch
lies behind ``_changed``.
"""

import os
import selectors
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from flwr.app import Message, UserConfig

from simulations.engine.worker_handle import TRIES, Task, Worker, death

_MANY_UNREAD = 4_000_000  # bytes of one worker's replies; more would only pile up before a main thread that is slower


def _while_there(method: Callable[[], None]) -> Callable[[], None]:
    """``method``, without keeping whose it is: an array of a reply may outlive the pool, and must not hold it."""
    known = weakref.WeakMethod(method)

    def call() -> None:
        found = known()
        if found is not None:
            found()

    return call


class _Bell:
    """Wakes the pool's thread where it holds work back."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.armed = False

    def ring(self) -> None:
        """Once for each time that it was armed."""
        if self.armed:
            self.armed = False
            os.write(self._file, b"x")


class Pool:
    """At most ``size`` workers for the ClientApp ``module:attribute``; ``together`` trains the sites of a batch."""

    def __init__(self, app: str, size: int, together: str = "") -> None:
        self._app, self._size, self._together = app, size, together
        self._changed = threading.Condition()
        self._queue: deque[Task] = deque()
        self._open: dict[str, Task] = {}  # by message id: in the queue or running
        self._started: list[Task] = []
        self._replies: dict[str, Message] = {}
        self._fault: BaseException | None = None
        self._closing = False
        self._starved = False  # the main thread waits for a reply
        self._workers: list[Worker] = []
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wake = os.pipe()
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._bell = _Bell(self._wake)
        self._thread = threading.Thread(target=self._run, name="pool", daemon=True)
        self._thread.start()

    # ---- called by the main thread

    def submit(self, messages: Sequence[Message], configs: Sequence[UserConfig]) -> None:
        """Queue messages that have ids, as one task."""
        task = Task(list(messages), list(configs))
        with self._changed:
            self._open |= dict.fromkeys(task.ids, task)
            is_first = not self._queue  # else the thread is about to look, or all workers are busy
            self._queue.append(task)
        if is_first:
            os.write(self._wake, b"x")

    def started(self) -> list[Message]:
        """The messages that a worker began since the last call."""
        with self._changed:
            begun, self._started = self._started, []
        return [message for task in begun for message in task.messages]

    def replies(self, message_ids: Iterable[str]) -> list[Message]:
        """Those replies that are there; each is given out once."""
        with self._changed:
            if self._fault is not None:
                raise self._fault
            return [self._replies.pop(i) for i in message_ids if i in self._replies]

    def queued(self, message_id: str) -> bool:
        """Whether no worker has begun the message."""
        with self._changed:
            task = self._open.get(message_id)
            return task is not None and not task.running

    def cancel(self, message_id: str) -> None:
        """Forget a message, and the rest of its batch; the worker that works on it is killed."""
        with self._changed:
            self._replies.pop(message_id, None)
            task = self._open.pop(message_id, None)
            if task is not None:
                task.cancelled = True
        os.write(self._wake, b"x")

    def wait(self, seconds: float) -> None:
        """Return as soon as a reply is there, or ``seconds`` are over."""
        with self._changed:
            self._starved = not self._replies
            self._bell.ring()
            self._changed.wait_for(lambda: self._replies or self._fault, seconds)
            self._starved = False

    def close(self) -> None:
        """End all workers."""
        self._closing = True
        os.write(self._wake, b"x")
        self._thread.join()
        self._bell.armed = False
        self._selector.close()
        os.close(self._wakeup)
        os.close(self._wake)

    def _read_one(self) -> None:
        """Called by whichever thread used the last array of a reply."""
        for worker in self._workers.copy():
            worker.rest(idle=not self._open)
        self._bell.ring()

    # ---- the pool's thread

    def _run(self) -> None:
        try:
            while not self._closing:
                self._assign()
                for key, _ in self._selector.select():
                    if key.data is None:
                        os.read(self._wakeup, 4096)
                    elif key.data in self._workers:
                        self._hear(key.data)
                self._kill_cancelled()
        except BaseException as fault:  # the main thread must not wait for ever
            with self._changed:
                self._fault = fault
                self._changed.notify_all()
        finally:
            for worker in self._workers:
                worker.close()

    def _assign(self) -> None:
        while self._queue:
            self._bell.armed = True  # before it looks, so that what is read meanwhile is not missed
            worker = next((worker for worker in self._workers if self._may_begin(worker)), None)
            if worker is None and len(self._workers) >= self._size:
                self._bell.armed = any(worker.task is None for worker in self._workers)
                return
            self._bell.armed = False
            worker = worker or self._hire()
            with self._changed:
                task = self._queue.popleft()
                if task.cancelled:
                    continue
                task.running = True
                task.tries += 1
                if task.tries == 1:
                    self._started.append(task)
            worker.take(task)

    def _may_begin(self, worker: Worker) -> bool:
        """Whether it is free, and its replies are read, or else the main thread waits for another's."""
        return worker.task is None and (self._starved or worker.unread_bytes < _MANY_UNREAD)

    def _hire(self) -> Worker:
        worker = Worker(self._app, self._together, _while_there(self._read_one))
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)
        self._selector.register(worker.process.status, selectors.EVENT_READ, worker)
        self._workers.append(worker)
        return worker

    def _hear(self, worker: Worker) -> None:
        """A worker replied, or ended."""
        try:
            self._reply(worker.reply())
        except EOFError:
            self._bury(worker)

    def _bury(self, worker: Worker) -> None:
        self._selector.unregister(worker.channel)
        self._selector.unregister(worker.process.status)
        self._workers.remove(worker)
        returncode, task = worker.close(), worker.task
        if task is None or task.cancelled:
            return
        if task.tries < TRIES:
            with self._changed:
                task.running = False
                self._queue.appendleft(task)
        elif len(task.messages) > 1:
            self._take_apart(task)
        else:
            self._reply(Message(death(returncode), reply_to=task.messages[0]))

    def _take_apart(self, batch: Task) -> None:
        with self._changed:
            left = {part.ids[0]: part for part in batch.singly() if part.ids[0] in self._open}
            self._open |= left
            self._queue.extendleft(reversed(left.values()))

    def _reply(self, reply: Message) -> None:
        message_id = reply.metadata.reply_to_message_id
        with self._changed:
            if self._open.pop(message_id, None) is not None:
                self._replies[message_id] = reply
                self._starved = False
                self._changed.notify_all()

    def _kill_cancelled(self) -> None:
        for worker in self._workers:
            if worker.task is not None and worker.task.cancelled:
                worker.process.kill()
