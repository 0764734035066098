"""The fork server: imports once what every process of a run needs, then forks itself whenever it is asked to.

``python -m simulations.engine.forkserver N MODULE``: descriptor N is the socket of
:class:`simulations.engine.processes.ForkServer`, and MODULE is what to import.
It has no thread of its own and computes nothing before it forks, so that a fork is safe and shares all memory pages.
"""

import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from simulations.engine.channel import Channel
from simulations.engine.processes import Order

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Serve until the other end of the socket is closed, which is when its process ended; then end all others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, file, module = sys.argv
    importlib.import_module(module)
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every shared page
    _Nursery(Channel(socket.socket(fileno=int(file)))).run()


class _Nursery:
    """The processes that were forked, and where the end of each is to be told."""

    def __init__(self, orders: Channel) -> None:
        self._orders = orders
        self._children: dict[int, Channel] = {}
        self._wakeup, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)

    def run(self) -> None:
        """Fork and bury."""
        while True:
            ready = select.select([self._orders.fileno(), self._wakeup], [], [])[0]
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                self._bury()
            if self._orders.fileno() in ready:
                try:
                    order, files = self._orders.receive()
                except EOFError:
                    return  # the children end with this process: PR_SET_PDEATHSIG
                self._fork(order, files)

    def _fork(self, order: Order, files: list[int]) -> None:
        status, rest = Channel(socket.socket(fileno=files[0])), files[1:]
        parent = os.getpid()
        child = os.fork()
        if not child:
            self._forget(status)
            _become(order, rest, parent)
        for file in rest:
            os.close(file)
        self._children[child] = status
        _tell(status, child)

    def _bury(self) -> None:
        while self._children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            told = self._children.pop(child)
            _tell(told, os.waitstatus_to_exitcode(status))
            told.close()

    def _forget(self, status: Channel) -> None:
        """In a child: it must hold no end of anything that belongs to the server or to another child."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for channel in (self._orders, status, *self._children.values()):
            channel.close()


def _tell(status: Channel, number: int) -> None:
    with suppress(OSError):  # nobody wants to know any more
        status.send(number)


def _become(order: Order, files: Sequence[int], parent: int) -> NoReturn:
    """In a child: do what was ordered, then end."""
    code = 1
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)
        output, error, *rest = files
        os.dup2(output, 1)
        os.dup2(error, 2)
        os.close(output)
        os.close(error)
        os.nice(order.niceness)
        os.chdir(order.folder)
        os.environ.clear()
        os.environ.update(order.environment)
        sys.path[:] = order.path
        module, _, function = order.call.partition(":")
        getattr(importlib.import_module(module), function)(*order.arguments, *rest)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


if __name__ == "__main__":
    main()
