"""A user's own trainer that fails on purpose, to see what a fault at a site does to a run."""

import os
import signal
from pathlib import Path

from torch import nn

from client.trainers.standard import Standard
from medfed.errors import DataError, DivergedError
from medfed.registry import plugin
from medfed.training.local import LocalResult
from medfed.types import ImageSet


def _import() -> None:
    import a_package_that_this_site_lacks  # type: ignore[import-not-found]  # noqa: F401


def _raise(fault: BaseException) -> None:
    raise fault


FAULTS = {
    "exception": lambda: _raise(RuntimeError("boom in the trainer")),
    "memory": lambda: _raise(MemoryError()),
    "data": lambda: _raise(DataError(f"{Path('scan.png')}: cannot be read")),
    "divergence": lambda: _raise(DivergedError("the loss is not finite")),
    "import": _import,
    "hang": lambda: signal.pause(),
    "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


def trainer(fault: str, *sites: str) -> str:
    """The value of ``--set`` for a :class:`Faulty` trainer, at site-02 where no sites are given."""
    return f"training.trainer={{name='{__name__}:Faulty', fault='{fault}', sites={list(sites or ['site-02'])}}}"


@plugin
class Faulty:
    """Trains, except at ``sites`` from round ``since`` on, where it fails as ``FAULTS`` says, or sends NaN or Inf."""

    sites: tuple[str, ...]
    fault: str = "exception"
    since: int = 1

    def __call__(
        self, model: nn.Module, images: ImageSet, scenario, site: str, round_number: int, correct=None
    ) -> LocalResult:
        result = Standard()(model, images, scenario, site, round_number, correct)
        if site in self.sites and round_number >= self.since:
            if self.fault in FAULTS:
                FAULTS[self.fault]()
            for value in model.parameters():
                value.data.fill_(float(self.fault))
        return result


@plugin
class Flaky:
    """Trains, except at ``site`` in ``round`` for as long as there is a file ``flag``."""

    site: str
    round: int
    flag: str

    def __call__(
        self, model: nn.Module, images: ImageSet, scenario, site: str, round_number: int, correct=None
    ) -> LocalResult:
        if (site, round_number) == (self.site, self.round) and Path(self.flag).exists():
            raise RuntimeError("for now")
        return Standard()(model, images, scenario, site, round_number, correct)
