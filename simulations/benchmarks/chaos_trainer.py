"""Plain local training that writes down whom it trains: what a kill cost is then a matter of counting lines."""

from pathlib import Path

from torch import nn

from client.trainers.standard import Standard
from medfed.config import Scenario
from medfed.registry import plugin
from medfed.training.local import Correction, LocalResult
from medfed.types import ImageSet


@plugin
class Counted:
    """Plain local training; every call adds the line ``ROUND SITE`` to a file.

    Attributes:
        log: the file, seen from the working directory of the run.
    """

    log: str = "trained.txt"

    def __call__(
        self,
        model: nn.Module,
        images: ImageSet,
        scenario: Scenario,
        site: str,
        round_number: int,
        correct: Correction | None = None,
    ) -> LocalResult:
        """Write the line first, so that work which was begun counts as done."""
        with Path(self.log).open("a", encoding="utf-8") as file:  # one short write: lines of two workers do not mix
            file.write(f"{round_number} {site}\n")
        return Standard()(model, images, scenario, site, round_number, correct)
