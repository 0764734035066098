"""A user's own trainer that fails on purpose, to see what a fault at a site does to a run."""

from pathlib import Path

from torch import nn

from client.trainers.standard import Standard
from medfed.errors import DataError
from medfed.registry import plugin
from medfed.training.local import LocalResult
from medfed.types import ImageSet


@plugin
class Faulty:
    """Trains, except at ``sites`` from round ``since`` on, where it raises, sends NaN, or runs out of memory."""

    sites: tuple[str, ...]
    fault: str = "exception"
    since: int = 1

    def __call__(
        self, model: nn.Module, images: ImageSet, scenario, site: str, round_number: int, correct=None
    ) -> LocalResult:
        result = Standard()(model, images, scenario, site, round_number, correct)
        if site in self.sites and round_number >= self.since:
            if self.fault == "exception":
                raise RuntimeError("boom in the trainer")
            if self.fault == "memory":
                raise MemoryError
            if self.fault == "data":
                raise DataError(f"{Path('scan.png')}: cannot be read")
            for value in model.parameters():
                value.data.fill_(float("nan"))
        return result
