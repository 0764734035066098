"""Event files for TensorBoard in RUN/tensorboard: ``tensorboard --logdir RUN/tensorboard``."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medfed.registry import plugin
from medfed.results import RoundResult
from medfed.tracking.contract import Sink, TrackedRun
from medfed.tracking.packages import require
from medfed.tracking.scalars import scalars

FOLDER = "tensorboard"


@dataclass(frozen=True)
class _Events:
    writer: Any

    def add(self, result: RoundResult) -> None:
        for name, value in scalars(result).items():
            self.writer.add_scalar(name, value, result.round)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


@plugin
class TensorBoard:
    """Writes TensorBoard's event files; needs the package tensorboard."""

    def check(self) -> None:
        """Look for the package."""
        require("tensorboard", "tensorboard", "tensorboard")

    def __call__(self, run: TrackedRun, past: Sequence[RoundResult]) -> Sink:
        """Write the folder anew: event files only grow, so a round that was undone cannot be taken out of one."""
        from torch.utils.tensorboard import SummaryWriter

        shutil.rmtree(run.folder / FOLDER, ignore_errors=True)
        events = _Events(SummaryWriter(str(run.folder / FOLDER)))
        for result in past:
            events.add(result)
        return events
