"""What a site keeps between rounds on its own disk: personal parts, control variates, what compression left out.

One file per run and round, so that a round which is run again after a crash starts from what the site had before it:
round r reads the newest state of a round before r, and writes its own beside it. Older ones are removed.
"""

import os
from pathlib import Path

from flwr.app import Context

from client.site import site_name
from medfed.config import Scenario
from medfed.errors import SiteError
from medfed.files import file_name
from medfed.params import load_weights, save_weights
from medfed.types import Weights


class SiteState:
    """The states of one run at one site."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load(self, last_round: int) -> Weights:
        """What was kept after the newest round up to ``last_round``; empty if there is none."""
        rounds = [number for number in self._rounds() if number <= last_round]
        return load_weights(self._file(max(rounds))) if rounds else {}

    def save(self, round_number: int, state: Weights) -> None:
        """Keep ``state`` after ``round_number``; forget rounds that were undone, and all but the one before.

        Raises:
            SiteError: there is something to keep, but the site has no folder for it.
        """
        if self._folder is None:
            if state:
                raise SiteError('this strategy keeps a part at the site: expected --node-config home="FOLDER"')
            return
        before = [number for number in self._rounds() if number < round_number]
        if state:
            save_weights(self._file(round_number), state, {"round": round_number})
        keep = {round_number, max(before, default=0)} if state else set(before)
        for number in self._rounds():
            if number not in keep:
                self._file(number).unlink()

    def _rounds(self) -> list[int]:
        if self._folder is None:
            return []
        return [int(path.stem) for path in self._folder.glob("*.safetensors") if path.stem.isdigit()]

    def _file(self, round_number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{round_number}.safetensors"


def site_state(context: Context, scenario: Scenario, run: str) -> SiteState:
    """Where this site keeps its states of ``run``: below its home."""
    home = site_home(context, scenario)
    return state_in(Path(home), run) if home else SiteState(None)


def site_home(context: Context, scenario: Scenario) -> str:
    """The folder of this site: node configuration ``home``, or the variable MEDFED_HOME; empty where there is none.

    The variable names a folder for all sites of a machine, for a runtime that cannot configure its nodes one by one.
    """
    home = str(context.node_config.get("home", ""))
    if not home and "MEDFED_HOME" in os.environ:
        home = str(Path(os.environ["MEDFED_HOME"]) / file_name(site_name(context, scenario)))
    return home


def state_in(home: Path, run: str) -> SiteState:
    """The states of ``run`` under a site's folder ``home``."""
    return SiteState(home / "state" / file_name(run))
