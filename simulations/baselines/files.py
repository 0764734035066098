"""The folder in which the processes of one run share their baselines: who has which, and what came of it.

A task is claimed by creating ``NAME.claim`` (O_EXCL). Its result is ``NAME.json`` (tests) beside
``NAME.safetensors``, or ``NAME.error.txt`` where it failed: the cause in the first line, the traceback below.
The folder is made for one run and named at random, so that nothing left of an earlier run can write into it. What is
finished is moved to the run's ``baselines`` when the work ends, and taken from there when a run is resumed.
"""

import shutil
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from medfed.files import file_name, write_text_atomic
from medfed.params import save_weights
from medfed.results import Evaluation
from simulations.baselines.tasks import Baseline, Task

Tests = dict[str, Evaluation]
_TESTS = TypeAdapter(Tests)


@dataclass(frozen=True)
class BaselineFiles:
    """The shared folder; every method may be called by any process at any time."""

    path: Path

    @classmethod
    def new(cls, folder: Path) -> "BaselineFiles":
        """A folder of its own inside ``folder``; what a killed run had finished there is kept, not what had failed."""
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".work-*"):
            cls(left).store()
        for failed in (*folder.glob("*.error.txt"), *folder.glob("helper-*.log")):
            failed.unlink()
        return cls(Path(tempfile.mkdtemp(prefix=".work-", dir=folder)))

    def claim(self, task: Task) -> bool:
        """Whether this process is the one to train ``task``."""
        if self._stored(task).exists():
            return False
        try:
            self._file(task, "claim").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def release(self, task: Task) -> None:
        """Let ``task`` be claimed again, whose process died."""
        self._file(task, "claim").unlink(missing_ok=True)

    def save(self, baseline: Baseline) -> None:
        """Store a trained baseline; its tests last, since they say that it is done.

        Raises:
            WriteError: it cannot be written.
        """
        save_weights(self._file(baseline.task, "safetensors"), baseline.weights)
        write_text_atomic(self._file(baseline.task, "json"), _TESTS.dump_json(baseline.tests).decode())

    def save_failure(self, task: Task, fault: Exception) -> None:
        """Store why ``task`` has no result."""
        cause = " ".join(f"{type(fault).__name__}: {fault}".split("\n")[0].split())
        text = f"{cause}\n\n{''.join(traceback.format_exception(fault))}"
        write_text_atomic(self._file(task, "error.txt"), text, errors="backslashreplace")

    def ended(self, task: Task) -> bool:
        """Whether ``task`` was trained, or failed."""
        files = self._stored(task), self._file(task, "json"), self._file(task, "error.txt")
        return any(file.exists() for file in files)

    def tests(self, task: Task) -> Tests | None:
        """The stored tests; None where the task failed, or its process died."""
        for path in (self._stored(task), self._file(task, "json")):
            if path.exists():
                return _TESTS.validate_json(path.read_bytes())
        return None

    def failure(self, task: Task) -> str:
        """One line: why there are no tests."""
        path = self._file(task, "error.txt")
        if not path.exists():
            return "its process died"
        return f"{path.read_text(encoding='utf-8').splitlines()[0]} (traceback: baselines/{path.name})"

    def store(self) -> None:
        """Move results, causes and the logs of failed helpers to the run's ``baselines``; remove this folder."""
        for suffix in ("safetensors", "json", "error.txt", "log"):
            for path in sorted(self.path.glob(f"*.{suffix}")):
                if suffix != "safetensors" or path.with_suffix(".json").exists():
                    path.replace(self.path.parent / path.name)
        shutil.rmtree(self.path)

    def _stored(self, task: Task) -> Path:
        """Where the tests of a finished task lie, from before a resumed run was interrupted."""
        return self.path.parent / self._file(task, "json").name

    def _file(self, task: Task, suffix: str) -> Path:
        name = "pooled" if task.kind == "pooled" else f"local-{file_name(task.site)}"
        return self.path / f"{name}.{suffix}"
