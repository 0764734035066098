"""The folder of a run: where each result lies.

Files are written whole or not at all; only ``rounds.jsonl`` grows, a line at a time.
"""

import hashlib
import json
import shutil
from pathlib import Path
from urllib.parse import quote

from medfed.config import Scenario
from medfed.environment import describe_environment
from medfed.errors import RunFolderError
from medfed.files import write_text_atomic
from medfed.params import save_weights
from medfed.results import RoundResult, Summary, write_json
from medfed.types import Update, Weights

_MAX_NAME = 120
_SCENARIO = "scenario.toml"


def file_name(site: str) -> str:
    """A site's name as a safe name of a file: percent-encoded, no leading dot, long ones cut and hashed."""
    safe = quote(site, safe=" ").replace(".", "%2E")
    if len(safe) > _MAX_NAME:
        safe = f"{safe[:_MAX_NAME]}-{hashlib.sha256(site.encode()).hexdigest()[:12]}"
    return safe


def check_free(folder: Path, overwrite: bool) -> None:
    """Refuse a ``folder`` that must not be written: one with something in it, unless it is a run to overwrite.

    Raises:
        RunFolderError: it exists and ``overwrite`` is false, or it is no run folder of ours.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / _SCENARIO).is_file():
        raise RunFolderError(
            f"{folder}: exists and is not the folder of a run (no scenario.toml), so it is never overwritten; "
            "remove it yourself, or choose another --out"
        )
    if not overwrite:
        raise RunFolderError(f"{folder}: exists already; choose another --out, or give --overwrite to replace it")


def make_folder(folder: Path, scenario: Scenario) -> None:
    """Create the run's folder with its ``scenario.toml``, in the place of an earlier run.

    From the first moment to the last the folder says that it is a run's, so that one killed in between can be
    overwritten: an earlier run's ``scenario.toml`` is the one file that is not removed but replaced.

    Raises:
        RunFolderError: it cannot be made here.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != _SCENARIO:
                entry.unlink()
        write_text_atomic(folder / _SCENARIO, scenario.to_toml())
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be made: {error.strerror}; choose another --out") from error


class RunFolder:
    """Writer for one run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, scenario: Scenario, command: str) -> None:
        """Create the folder with what is about to run.

        Raises:
            RunFolderError: the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_text_atomic(self.path / _SCENARIO, scenario.to_toml())
            write_text_atomic(self.path / "rounds.jsonl", "")
            environment = describe_environment(scenario.engine.deterministic, command)
            write_text_atomic(self.path / "environment.json", json.dumps(environment, indent=2) + "\n")
        except OSError as error:
            raise RunFolderError(f"{self.path}: cannot be written: {error}; choose another --out") from error

    def add_round(self, result: RoundResult) -> None:
        """Append one line to ``rounds.jsonl``."""
        with (self.path / "rounds.jsonl").open("a") as file:
            file.write(result.model_dump_json() + "\n")

    def checkpoint(self, round_number: int, weights: Weights, state: Weights) -> None:
        """Write global weights and strategy state of ``round_number``, then remove older checkpoints."""
        folder = self.path / "checkpoints" / str(round_number)
        save_weights(folder / "model.safetensors", weights, {"round": round_number})
        save_weights(folder / "state.safetensors", state, {"round": round_number})
        for older in folder.parent.iterdir():
            if older != folder:
                shutil.rmtree(older)

    def record_global(self, round_number: int, weights: Weights) -> None:
        """Keep the global weights that a recorded round started from (no site's file name has a dot inside)."""
        save_weights(self._recorded(round_number) / "global.weights.safetensors", weights, {"round": round_number})

    def record_update(self, round_number: int, update: Update) -> None:
        """Keep a real update for later audits."""
        metadata = {
            "site": update.site,
            "round": round_number,
            "num_examples": update.num_examples,
            "num_steps": update.num_steps,
        }
        save_weights(self._recorded(round_number) / f"{file_name(update.site)}.safetensors", update.tensors, metadata)

    def _recorded(self, round_number: int) -> Path:
        return self.path / "recorded" / str(round_number)

    def finish(self, weights: Weights, summary: Summary) -> None:
        """Write the final model and the summary."""
        save_weights(self.path / "model.safetensors", weights)
        self.write_summary(summary)

    def write_summary(self, summary: Summary) -> None:
        """Write ``summary.json``."""
        write_json(self.path / "summary.json", summary)
