"""Memory is read from /proc; a measured process returns what it printed last. Oracle: sizes allocated by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from simulations.benchmarks import processes

SIZE = 60 * processes.MEGABYTE


def test_resident_bytes_grow_by_what_is_allocated_and_touched() -> None:
    before = processes.resident_bytes()
    held = np.ones(SIZE, dtype=np.uint8)
    assert processes.resident_bytes() - before == pytest.approx(held.nbytes, rel=0.2)


def test_resident_bytes_of_an_ended_process_are_zero() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert processes.resident_bytes(ended.pid) == 0


def test_the_peak_of_a_fresh_process_is_its_own_and_outlives_what_made_it() -> None:
    program = (
        "from simulations.benchmarks.processes import forget_peak, peak_bytes\n"
        f"before = forget_peak(); held = bytearray(b'x') * {SIZE}; del held; print(peak_bytes() - before)"
    )
    held = np.ones(4 * SIZE, dtype=np.uint8)  # a peak of this process that its child must not take for its own
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert held.all()
    assert int(done.stdout) == pytest.approx(SIZE, rel=0.2)


def test_peak_memory_remembers_what_is_gone_and_counts_workers_apart() -> None:
    script = f"held = bytearray(b'x') * {SIZE}; print(flush=True); input()"
    idle, before = processes.resident_bytes(), processes.worker_bytes()
    with processes.PeakMemory() as memory:
        child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in processes.descendants(os.getpid())
        held = np.ones(2 * SIZE, dtype=np.uint8)
        memory.sample()
        del held
        child.communicate(b"\n")
    assert memory.peak - idle == pytest.approx(2 * SIZE, rel=0.2)
    assert memory.workers >= before + SIZE


def test_fresh_returns_the_last_line() -> None:
    seconds = processes.fresh("simulations.benchmarks.plain_loop", 100, 2, 3, 4)
    assert len(seconds) == 4
    assert min(seconds) > 0.0


def test_a_failed_process_is_named_with_its_last_words() -> None:
    with pytest.raises(RuntimeError, match=r"plain_loop nonsense.*invalid literal"):
        processes.fresh("simulations.benchmarks.plain_loop", "nonsense")


def test_a_peer_that_is_not_there_is_none_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "PEER_PYTHON", tmp_path / "python")
    assert processes.peer("flower_ray.py") == (None, "no .venv-peers: run `make peers`")


def test_a_peer_that_fails_is_none_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PEER_PYTHON", Path(sys.executable))
    found, reason = processes.peer("no_such_script.py")
    assert found is None
    assert "no_such_script.py" in reason


def test_a_peer_s_last_line_is_read_as_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "said.py").write_text(f"print('a word'); print({json.dumps([1, 2])!r})")
    monkeypatch.setattr(processes, "PEER_PYTHON", Path(sys.executable))
    monkeypatch.setattr(processes, "PEERS", tmp_path)
    assert processes.peer("said.py") == ([1, 2], "")


def test_a_last_line_that_is_no_json_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: SimpleNamespace(stdout="hello\n"))
    with pytest.raises(RuntimeError, match="last line is no JSON"):
        processes.fresh("any")
