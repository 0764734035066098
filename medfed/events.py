"""Progress as values: what happens in a run is announced once and whoever watches listens.

The apps only call :func:`emit`. A simulation listens with a progress bar, a deployment with a log line, a
test with a list. A listener that wants the run to end raises :class:`medfed.errors.StopRequested`, which the
round loop honours at that point, between two sites, with everything finished so far kept.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class RoundStarted:
    """A round was opened for ``num_sites`` sites."""

    round: int
    rounds: int
    num_sites: int


@dataclass(frozen=True)
class SiteStarted:
    """A site began to work (announced by grids that can see it)."""

    site: str
    purpose: str


@dataclass(frozen=True)
class SiteDone:
    """A site's reply was folded; ``loss`` is its mean training loss, None where the server does not learn it."""

    round: int
    site: str
    loss: float | None


@dataclass(frozen=True)
class SiteFailed:
    """A site did not deliver; ``cause`` is one line, ``detail`` the traceback where it may be shown."""

    round: int
    site: str
    cause: str
    detail: str


@dataclass(frozen=True)
class RoundDone:
    """A round was closed; ``metric`` is the mean over sites of the headline metric on validation data.

    ``loss``: mean over sites of their training loss; None where the server learns none.
    """

    round: int
    rounds: int
    loss: float | None
    metric_name: str
    metric: float | None
    seconds: float


@dataclass(frozen=True)
class StageDone:
    """A baseline or another stage outside the rounds ended."""

    name: str
    done: int
    total: int


Event = RoundStarted | SiteStarted | SiteDone | SiteFailed | RoundDone | StageDone
Listener = Callable[[Event], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def emit(event: Event) -> None:
    """Tell the current listener, if any."""
    listener = _listener.get()
    if listener is not None:
        listener(event)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send every event inside the block to ``listener``."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
