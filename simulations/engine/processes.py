"""Processes that start in milliseconds: a fork server (:mod:`simulations.engine.forkserver`) has all imports done.

``multiprocessing`` has a fork server too, but its children import ``__main__`` again: a script that calls
``simulate`` without a guard would start itself over and over. None of ours outlives this process, however it ends:
the fork server ends with the socket to it, and a process of its own with the fork server.
"""

import atexit
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, NamedTuple

from simulations.engine.channel import Channel

_INHERITED = (1, 2)  # standard output and error


class Order(NamedTuple):
    """What the fork server is asked: call ``module:function`` with ``arguments``, in this process's surroundings."""

    call: str
    arguments: tuple[str, ...]
    path: list[str]
    folder: str
    environment: dict[str, str]
    niceness: int


class Process:
    """A started process. ``status`` is readable once it has ended."""

    def __init__(self, status: Channel) -> None:
        self.status = status
        self.returncode: int | None = None
        try:
            self.pid: int = status.receive()[0]
        except EOFError:
            raise OSError("the fork server ended; is there enough memory?") from None

    def poll(self, seconds: float | None = 0.0) -> int | None:
        """Wait at most ``seconds`` (None: for good) for the end; the exit code, or minus the signal that ended it."""
        if self.returncode is None and select.select([self.status], [], [], seconds)[0]:
            try:
                self.returncode = self.status.receive()[0]
            except EOFError:  # the fork server was killed, and its processes with it
                self.returncode = -signal.SIGKILL
            self.status.close()
        return self.returncode

    def wait(self) -> int:
        """Wait for the end."""
        code = self.poll(None)
        assert code is not None
        return code

    def kill(self) -> None:
        """End it at once, unless it has ended."""
        if self.returncode is None and not self.status.readable():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class ForkServer:
    """A fork server that has imported ``module``; started when it is first needed, and anew if it was killed."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None

    def warm(self) -> Channel:
        """Start the server unless it runs; it imports in the background, which takes seconds once."""
        with self._lock:
            if self._channel is None:
                self._channel, theirs = Channel.pair()
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "simulations.engine.forkserver", str(theirs.fileno()), self._module],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(_path())},
                    start_new_session=True,  # Ctrl-C reaches this process alone
                )
                theirs.close()
                atexit.register(self.stop)
            return self._channel

    def start(self, order: Order, files: Sequence[int]) -> Process:
        """Start a process and wait until it is there; it gets copies of ``files``: output, error, and its own."""
        try:
            return self._start(order, files)
        except OSError:  # somebody killed the server: try once more with another
            self.stop()
            return self._start(order, files)

    def _start(self, order: Order, files: Sequence[int]) -> Process:
        ours, theirs = Channel.pair()
        try:
            with self._lock:
                self.warm().send(order, [theirs.fileno(), *files])
        finally:
            theirs.close()
        return Process(ours)

    def stop(self) -> None:
        """End the server and every process that it started."""
        with self._lock:
            if self._process is not None and self._channel is not None:
                atexit.unregister(self.stop)
                self._process.kill()
                self._process.wait()
                self._channel.close()
            self._process = self._channel = None


_server = ForkServer("simulations.engine.preload")  # one per process: a second run, or a sweep, finds it warm


def warm() -> None:
    """Let the fork server begin its imports now, beside what this process does next."""
    _server.warm()


def start(
    call: str,
    arguments: Sequence[str] = (),
    files: Sequence[int] = (),
    *,
    log: IO[bytes] | None = None,
    niceness: int = 0,
) -> Process:
    """Call ``module:function(*arguments, *files)`` in a new process.

    Args:
        call: imported there, from this process's ``sys.path``.
        arguments: strings.
        files: open descriptors; the function gets those of its own copies.
        log: where standard output and error go; by default where this process's go.
        niceness: added to this process's; positive gives way to others.
    """
    output = [log.fileno()] * 2 if log else list(_INHERITED)
    order = Order(call, tuple(arguments), _path(), os.getcwd(), dict(os.environ), niceness)
    return _server.start(order, [*output, *files])


def _path() -> list[str]:
    """What this process would import; the working directory by its name."""
    return [entry or os.getcwd() for entry in sys.path]


def describe(returncode: int) -> str:
    """For people: how a process ended."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"
