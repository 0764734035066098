"""One run of a case as a user starts it, killed or not, and what is left of it afterwards."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from simulations.benchmarks.chaos_cases import NAME, Case
from simulations.benchmarks.processes import descendants

LIMIT_SECONDS = 300.0
"""Of one run; it takes a few seconds on an idle machine."""

_POLL_SECONDS = 0.005
_STATE = re.compile(r"/state/[^/]+/")  # its name is drawn anew for every run


class Run:
    """``medfed simulate`` of ``case`` in a working folder of its own."""

    def __init__(self, case: Case, place: Path) -> None:
        self.place, self.folder = place, place / "runs" / NAME
        place.mkdir(parents=True)
        (place / "case.toml").write_text(case.toml, encoding="utf-8")
        self.process = self._start("case.toml")

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).parent / "medfed"), "simulate", *arguments, "--quiet"]
        with (self.place / "console.txt").open("ab") as console:
            return subprocess.Popen(command, cwd=self.place, stdout=console, stderr=console)

    def await_folder(self) -> float:
        """Wait until there is something to resume; the time then, in seconds."""
        end = time.monotonic() + LIMIT_SECONDS
        while not (self.folder / "scenario.toml").exists() and self.process.poll() is None:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.folder}: not made within {LIMIT_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)
        return time.monotonic()

    def wait_until(self, moment: float) -> None:
        """Return at ``moment`` of :func:`time.monotonic`, or when the run ends, if that is before."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, moment - time.monotonic()))

    def end(self) -> int:
        """Wait for the end; the exit code."""
        try:
            return self.process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def resume(self) -> None:
        """Go on, as a user would."""
        self.process = self._start("--resume", str(self.folder))

    def workers(self) -> list[int]:
        """Processes that work: what the fork server, this run's only child, has started."""
        children = [pid for pid in descendants(self.process.pid) if _parent(pid) == self.process.pid]
        return [pid for server in children for pid in descendants(server)]

    def rounds(self) -> list[dict[str, object]]:
        """The lines of ``rounds.jsonl`` without what differs from run to run: seconds."""
        path = self.folder / "rounds.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [_without_seconds(json.loads(line)) for line in lines]

    def trained(self) -> Counter[tuple[int, str]]:
        """How often each site was trained in each round, by round and site."""
        path = self.place / "trained.txt"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return Counter((int(number), site) for number, _, site in (line.partition(" ") for line in lines))

    def files(self) -> set[str]:
        """Every file of the run's folder."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return {_STATE.sub("/state/RUN/", path.as_posix()) for path in found}

    def models(self) -> dict[str, bytes]:
        """The bytes of the final model and of every baseline."""
        paths = [self.folder / "model.safetensors", *(self.folder / "baselines").glob("*.safetensors")]
        return {path.name: path.read_bytes() for path in paths if path.exists()}

    def processes(self, patience_seconds: float = 120.0) -> list[int]:
        """Processes whose working folder is this run's and that are there after ``patience_seconds``."""
        end = time.monotonic() + patience_seconds
        while (found := _in_folder(self.place)) and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        return found


@dataclass(frozen=True)
class Whole:
    """A case that nobody killed; ``seconds`` count from when its folder was there."""

    case: Case
    run: Run
    seconds: float

    @classmethod
    def of(cls, case: Case, place: Path) -> "Whole":
        """Run ``case``.

        Raises:
            RuntimeError: it fails by itself.
        """
        run = Run(case, place)
        started = run.await_folder()
        if run.end():
            raise RuntimeError(f"case {case.name}: fails by itself: {(place / 'console.txt').read_text()[-2000:]}")
        return cls(case, run, time.monotonic() - started)


def _parent(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _in_folder(place: Path) -> list[int]:
    """Ids of the processes, other than those that have ended, that work in ``place``."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if os.readlink(entry / "cwd") == str(place.resolve()):
                    found.append(int(entry.name))
    return found


def _without_seconds(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    kept = {key: part for key, part in value.items() if key != "seconds"}
    return {key: _without_seconds(part) if isinstance(part, dict) else part for key, part in kept.items()}


def more_than(run: Run, whole: Run) -> Sequence[tuple[int, str]]:
    """Round and site of every training that ``run`` did again."""
    return sorted(run.trained() - whole.trained())
