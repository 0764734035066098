"""A user's own trainer that takes its whole process with it, as the system does when memory is short."""

import os
import signal
from pathlib import Path

from torch import nn

from client.trainers.standard import Standard
from medfed.registry import plugin
from medfed.training.local import Correction, LocalResult
from medfed.types import ImageSet


@plugin
class Deadly:
    """Dies at ``site``: once, where ``marker`` names a file that is not there yet, else always."""

    site: str
    marker: str = ""

    def __call__(
        self,
        model: nn.Module,
        images: ImageSet,
        scenario,
        site: str,
        round_number: int,
        correct: Correction | None = None,
    ) -> LocalResult:
        result = Standard()(model, images, scenario, site, round_number, correct)
        if site == self.site and not (self.marker and Path(self.marker).exists()):
            if self.marker:
                Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return result
