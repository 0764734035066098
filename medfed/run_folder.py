"""The folder of a run: where each result lies.

Files are written whole or not at all; only ``rounds.jsonl`` grows, a line at a time.
"""

import json
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from medfed.checkpoints import Checkpoint, damaged, read_checkpoint, write_checkpoint
from medfed.config import Scenario, parse_scenario
from medfed.environment import describe_environment
from medfed.errors import QuorumError, RunFolderError, ScenarioError, StopRequested
from medfed.files import file_name, sync_folder, write_text_atomic, writing
from medfed.lock import LOCK_FILE
from medfed.params import save_weights
from medfed.results import RoundResult, Status, Summary, write_json
from medfed.round_log import RoundLog
from medfed.types import Update, Weights

STOP_FILE = "stop"
"""Whoever makes a file of this name in a run's folder ends the run at the next safe point."""

_SCENARIO = "scenario.toml"
_ENVIRONMENT = "environment.json"
_ROUNDS = "rounds.jsonl"
_PAGE = "report.html"
_BEFORE_A_RUN = {f"{_SCENARIO}.tmp", LOCK_FILE, "error.txt"}
"""What a run leaves that was killed in its first moment, or could not begin (a sweep says there why)."""

_SPOOL = "spool"
_CHECKPOINTS = "checkpoints"
_RECORDED = "recorded"


def check_free(folder: Path, overwrite: bool) -> None:
    """Refuse a ``folder`` that must not be written: one with something in it, unless it is a run to overwrite.

    Raises:
        RunFolderError: it exists and ``overwrite`` is false, or it is no run folder of ours.
    """
    if not folder.exists() or (folder.is_dir() and {entry.name for entry in folder.iterdir()} <= _BEFORE_A_RUN):
        return
    if not (folder / _SCENARIO).is_file():
        raise RunFolderError(
            f"{folder}: exists and is not the folder of a run (no scenario.toml), so it is never overwritten; "
            "remove it yourself, or choose another --out"
        )
    if not overwrite:
        raise RunFolderError(
            f"{folder}: exists already; give --resume to go on with it, --overwrite to replace it, or another --out"
        )


def read_scenario(folder: Path) -> Scenario:
    """The scenario of the run in ``folder``, to go on with it.

    Raises:
        RunFolderError: it is no run's folder, was renamed, or is damaged.
    """
    path = folder / _SCENARIO
    if not path.is_file():
        raise RunFolderError(f"{folder}: is not the folder of a run (no {_SCENARIO}); expected runs/NAME")
    try:
        scenario = parse_scenario(path.read_text(encoding="utf-8"))
    except (ScenarioError, UnicodeDecodeError) as error:
        raise damaged(path, str(error)) from error
    if scenario.name != folder.resolve().name:
        raise RunFolderError(f'{folder}: holds a run named "{scenario.name}"; give the folder its name back')
    return scenario


def is_complete(folder: Path) -> bool:
    """Whether the run in ``folder`` has nothing left to do: its page is written last.

    Raises:
        RunFolderError: its ``summary.json`` cannot be read.
    """
    if not (folder / _PAGE).exists():
        return False
    try:
        summary = Summary.model_validate_json((folder / "summary.json").read_bytes())
    except (OSError, ValueError) as error:
        raise damaged(folder / "summary.json", str(error)) from error
    return summary.status is not Status.STOPPED


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
            elif entry.name not in (_SCENARIO, LOCK_FILE):
                entry.unlink()
        write_text_atomic(folder / _SCENARIO, scenario.to_toml())
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be made: {error.strerror}; choose another --out") from error


class RunFolder:
    """Writer for one run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = RoundLog(path / _ROUNDS)

    def has_started(self) -> bool:
        """Whether a federated training began here."""
        return (self.path / _ENVIRONMENT).exists()

    def start(self, scenario: Scenario, command: str) -> None:
        """Create the folder with what is about to run.

        Raises:
            RunFolderError: the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_text_atomic(self.path / _SCENARIO, scenario.to_toml())
            self._log.clear()
            # last, since it says that the rest is there
            environment = describe_environment(scenario.engine.deterministic, command) | {"run": secrets.token_hex(8)}
            write_text_atomic(self.path / _ENVIRONMENT, json.dumps(environment, indent=2) + "\n")
        except OSError as error:
            raise RunFolderError(f"{self.path}: cannot be written: {error}; choose another --out") from error

    def recorded(self, key: str, before: str | None = None) -> str:
        """What the run began on (``run`` tells it from others of its scenario), or ``before`` where the key is younger.

        Raises:
            RunFolderError: it cannot be read.
        """
        known = {} if before is None else {key: before}
        try:
            return str((known | json.loads((self.path / _ENVIRONMENT).read_bytes()))[key])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise damaged(self.path / _ENVIRONMENT, f"{type(error).__name__}: {error}") from error

    def heed_stop(self) -> None:
        """End the run where somebody made a file called ``stop`` in its folder.

        Raises:
            StopRequested: there is one.
        """
        if (self.path / STOP_FILE).exists():
            raise StopRequested(f"the file {self.path / STOP_FILE} asks for the end", QuorumError.exit_code)

    def add_round(self, result: RoundResult) -> None:
        """Append one line to ``rounds.jsonl``.

        Raises:
            WriteError: it cannot be written.
        """
        self._log.add(result)

    def rounds(self, count: int) -> list[RoundResult]:
        """The first ``count`` lines of ``rounds.jsonl``.

        Raises:
            RunFolderError: there are fewer, or they cannot be read.
        """
        return self._log.first(count)

    def truncate(self, count: int) -> None:
        """Drop what a crash or a stop left of rounds after ``count``, and the page, which would pass for the last."""
        (self.path / _PAGE).unlink(missing_ok=True)
        self._log.truncate(count)
        recorded = [path for path in (self.path / _RECORDED).glob("*") if path.name.isdigit()]
        undone = [path for path in recorded if int(path.name) > count]
        others = [path for path in (self.path / _SPOOL).glob("*") if path.name != str(count + 1)]
        older = [path for path in (self.path / _CHECKPOINTS).glob("*") if path.name != str(count)]
        for folder in (*undone, *others, *older):
            shutil.rmtree(folder)
        with suppress(OSError):  # it is not there, or not empty
            (self.path / _SPOOL).rmdir()

    def spool(self, round_number: int) -> Path:
        """Where the updates of the open round lie."""
        return self.path / _SPOOL / str(round_number)

    def checkpoint(self, scenario: Scenario, checkpoint: Checkpoint) -> None:
        """Write a complete round, whole or not at all; then remove older checkpoints and the spool.

        Raises:
            WriteError: it cannot be written; the older checkpoint is there.
        """
        folder = self.path / _CHECKPOINTS / str(checkpoint.round)
        temporary = folder.with_name(f"{folder.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        write_checkpoint(temporary, scenario, checkpoint)
        shutil.rmtree(folder, ignore_errors=True)  # of a round that was undone
        with writing(folder):
            temporary.rename(folder)
            sync_folder(folder.parent)
        for older in folder.parent.iterdir():
            if older != folder:
                shutil.rmtree(older)
        shutil.rmtree(self.path / _SPOOL, ignore_errors=True)

    def load_checkpoint(self, scenario: Scenario) -> Checkpoint | None:
        """The last complete round; None before the first.

        Raises:
            RunFolderError: it cannot be read, or is of another scenario.
        """
        parent = self.path / _CHECKPOINTS
        numbers = [int(path.name) for path in parent.glob("*") if path.name.isdigit()]
        if not numbers:
            return None
        return read_checkpoint(parent / str(max(numbers)), scenario)

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
        return self.path / _RECORDED / str(round_number)

    def finish(self, weights: Weights, summary: Summary) -> None:
        """Write the final model, and the summary even where the model cannot be written."""
        try:
            save_weights(self.path / "model.safetensors", weights)
        finally:
            self.write_summary(summary)

    def write_summary(self, summary: Summary) -> None:
        """Write ``summary.json``."""
        write_json(self.path / "summary.json", summary)
