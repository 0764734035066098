"""What a tracker is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from medfed.results import RoundResult


@dataclass(frozen=True)
class TrackedRun:
    """A run as a tracker knows it: ``run_id`` tells runs of one name apart and stays the same over a resume."""

    name: str
    folder: Path
    run_id: str


@runtime_checkable
class Sink(Protocol):
    """An open tracker."""

    def add(self, result: RoundResult) -> None:
        """Take a round that is complete: its checkpoint is on disk."""
        ...

    def close(self) -> None:
        """The run ended, or was stopped."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """Writes the rounds of a run down, at the server only.

    Every complete round is written once, however often the run was cut and resumed: ``past`` holds all rounds from
    before, of which the last may not have been written when the run was cut; no other can follow that is not added. A
    tracker changes no number; what it raises once it is open costs the tracker and not the run
    (:class:`medfed.tracking.enforcer.Tracking`).
    """

    def check(self) -> None:
        """See that it can work here, before a run starts.

        Raises:
            ScenarioError: a package is missing; with the remedy.
        """
        ...

    def __call__(self, run: TrackedRun, past: Sequence[RoundResult]) -> Sink:
        """Open it; ``past`` are written when this returns."""
        ...
