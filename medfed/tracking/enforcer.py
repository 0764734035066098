"""Keeps what every tracker promises: a fault in one ends that one, is said once, and never touches the run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from medfed import registry
from medfed.results import RoundResult
from medfed.tracking.contract import Sink, TrackedRun, Tracker

_SHOWN = 300  # characters of a cause


def check_trackers(trackers: Sequence[Tracker]) -> None:
    """See that all can work here.

    Raises:
        ScenarioError: one cannot.
    """
    for tracker in trackers:
        tracker.check()


class Tracking:
    """The open trackers of a run; ``warnings`` has a line for each that failed."""

    def __init__(self, trackers: Sequence[Tracker], run: TrackedRun, past: Sequence[RoundResult]) -> None:
        self.warnings: list[str] = []
        self._open: dict[Tracker, Sink] = {}
        for tracker in trackers:
            with self._guarded(tracker):
                self._open[tracker] = tracker(run, past)

    def add(self, result: RoundResult) -> None:
        """Hand a complete round to every tracker that still works."""
        for tracker, sink in list(self._open.items()):
            with self._guarded(tracker):
                sink.add(result)

    def close(self) -> None:
        """Close those that still work."""
        for tracker, sink in list(self._open.items()):
            with self._guarded(tracker):
                sink.close()
        self._open.clear()

    @contextmanager
    def _guarded(self, tracker: Tracker) -> Iterator[None]:
        try:
            yield
        except Exception as fault:  # a tracker may be a user's own, or report to a server that is down
            self._open.pop(tracker, None)
            cause = " ".join(f"{type(fault).__name__}: {fault}".split())[:_SHOWN]
            name = registry.name_of("tracker", tracker)
            self.warnings.append(f"tracker {name} failed and was ended, the run itself was not touched: {cause}")
