"""What an actor of Ray runs: the ClientApp, with the faults and the deadline that the pool of processes has."""

import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from flwr.app import Context, Message

from simulations.engine.worker import answer, load

_EXIT_HUNG = 1
_GRACE_SECONDS = 5.0  # the round loop gives up first, so that the message is not sent once more


@dataclass(frozen=True)
class RaySite:
    """Stands where Flower expects a ClientApp; it is pickled, so it holds no app but imports it.

    ``deadline_seconds``: an actor that works longer on a message ends itself, since nothing else reaches it; Ray then
    starts another. A call that holds Python's global lock for good cannot be ended so.
    """

    deadline_seconds: float

    def __call__(self, message: Message, context: Context) -> Message:
        """The reply, or the fault as one line with its traceback."""
        logging.getLogger("client").addHandler(logging.NullHandler())  # a fault's traceback is in the reply
        watchdog = threading.Timer(self.deadline_seconds + _GRACE_SECONDS, os._exit, [_EXIT_HUNG])
        watchdog.daemon = True
        watchdog.start()
        try:
            return answer(load("client.app:app"), message, context)
        finally:
            watchdog.cancel()


def missing_here(paths: list[str]) -> list[str]:
    """Which of ``paths`` this machine does not have; importing this module has shown that it has our package."""
    return [path for path in paths if not Path(path).exists()]
