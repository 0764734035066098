"""A user's own tracker that fails in its second round, or cannot work at all."""

from collections.abc import Sequence

from medfed.errors import ScenarioError
from medfed.registry import plugin
from medfed.results import RoundResult
from medfed.tracking.contract import Sink, TrackedRun


class _Fails:
    def add(self, result: RoundResult) -> None:
        if result.round >= 2:
            raise ConnectionError("the server is down")

    def close(self) -> None:
        raise AssertionError("it was ended before")


@plugin
class BrokenLater:
    """Works ``here`` for one round."""

    here: bool = True

    def check(self) -> None:
        if not self.here:
            raise ScenarioError("cannot work here")

    def __call__(self, run: TrackedRun, past: Sequence[RoundResult]) -> Sink:
        return _Fails()
