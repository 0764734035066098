"""Measured processes: each case in a fresh one, its memory read from /proc, its result the last line that it prints.

Memory is RssAnon + RssShmem of ``/proc/PID/status``: what the process itself asked for, without the libraries' files.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]
PEER_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PEERS = Path(__file__).parent / "peers"

MEGABYTE = 1_000_000
TIMEOUT_SECONDS = 1800
_SAMPLE_SECONDS = 0.02
_SHOWN = 300


def resident_bytes(pid: int | str = "self") -> int:
    """RssAnon + RssShmem of a process; 0 where it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
    return 0


def forget_peak() -> int:
    """Make the peak of this process what it holds now, and return that in bytes.

    Without it a process starts with the peak of the one that started it: Linux hands ``ru_maxrss`` on.
    """
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """The most memory that this process has held since :func:`forget_peak`, in bytes (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def descendants(pid: int) -> list[int]:
    """Processes that ``pid`` started, and theirs."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def worker_bytes() -> int:
    """RssAnon + RssShmem of all that this process started; shared memory counts once for each that touched it."""
    return sum(map(resident_bytes, descendants(os.getpid())))


class PeakMemory:
    """Samples this process and its workers from a thread while the block runs.

    Attributes:
        peak: bytes of this process, at most.
        workers: bytes of all its descendants together, at most.
    """

    def __init__(self) -> None:
        self.peak = self.workers = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def sample(self) -> None:
        """Look now."""
        self.peak = max(self.peak, resident_bytes())
        self.workers = max(self.workers, worker_bytes())

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self.sample()

    def __enter__(self) -> "PeakMemory":
        self.sample()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.sample()


def fresh(module: str, *arguments: object) -> Any:
    """Run ``python -m module arguments`` and return its last line, read as JSON.

    Raises:
        RuntimeError: the process failed; with the end of what it said.
    """
    return _last_line([sys.executable, "-m", module, *map(str, arguments)])


def peer(script: str, *arguments: object, launcher: Sequence[str] = ()) -> tuple[Any, str]:
    """Run ``peers/script`` from ``.venv-peers``: its last line, read as JSON, or None and the reason."""
    if not PEER_PYTHON.exists():
        return None, "no .venv-peers: run `make peers`"
    try:
        return _last_line([str(PEER_PYTHON), *launcher, str(PEERS / script), *map(str, arguments)]), ""
    except RuntimeError as error:
        return None, str(error)


def _last_line(command: list[str]) -> Any:
    """Run in an empty folder, as Ray puts the working directory of its actors first on their path."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=True,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": path},
            )
            return json.loads(done.stdout.splitlines()[-1])
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            said = error.stderr.decode() if isinstance(error.stderr, bytes) else error.stderr
            last = (said or "").strip().rpartition("\n")[2][-_SHOWN:]
            raise RuntimeError(f"{_shown(command)}: {type(error).__name__}: {last}") from error
        except (ValueError, IndexError) as error:
            raise RuntimeError(f"{_shown(command)}: its last line is no JSON: {error}") from error


def _shown(command: list[str]) -> str:
    """The module or script and its arguments, without the path of the interpreter."""
    return " ".join(Path(part).name if "/" in part else part for part in command[1:])
