"""``medfed simulate`` as a user types it. Oracles: the exit codes of DESIGN.md, the run's files, the process table.

The runs that are interrupted are processes of their own; what they wait for is a line or a file, never a time.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from medfed import cli
from medfed.results import RunResult, Status

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 120
FAST = ("--set", "baselines.local=false", "--set", "baselines.pooled=false", "--set", "training.rounds=1")
FAULTY = "tests.simulations.faulty:Faulty"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ``tiny.toml``, and a console of 80 columns."""
    from tests.simulations.conftest import FEW

    (tmp_path / "tiny.toml").write_text(FEW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def simulate(place: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """``simulate("--quiet")`` -> exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["simulate", "tiny.toml", *arguments], cli.COMMANDS)
        shown = capfd.readouterr()
        return code, shown.out, shown.err

    return call


def failing(*sites: str) -> tuple[str, ...]:
    return ("--set", f"training.trainer={{name='{FAULTY}', sites={list(sites)}}}")


def test_a_complete_run(simulate: Any, place: Path) -> None:
    code, out, err = simulate()
    assert (code, err) == (0, "")
    assert [line[:11] for line in out.splitlines() if line.startswith("round ")] == ["round   1/2", "round   2/2"]
    for words in ("AUROC on test images", "federated", "local only", "pooled", "Mean over sites", "gap closed"):
        assert words in out
    assert RunResult.load(place / "runs" / "tiny").status is Status.COMPLETED
    assert out.splitlines()[-1] == "COMPLETED  page: runs/tiny/report.html"
    assert (place / "runs/tiny/report.html").is_file()
    assert max(map(len, out.splitlines())) <= 80
    assert "┓" in out  # the table's right edge: nothing was cut off


def test_quiet_and_set_and_out(simulate: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/medfed", "simulate", "a file.toml", "--set", "name=$other"])
    code, out, _ = simulate(*FAST, "--quiet", "--set", "model.width=2", "--set", "name=other", "--out", "elsewhere")
    assert code == 0
    assert "round " not in out.replace("rounds", "")
    done = RunResult.load(place / "elsewhere" / "other")
    assert (done.summary.rounds, done.summary.name) == (1, "other")
    assert "width = 2" in (done.folder / "scenario.toml").read_text()
    environment = json.loads((done.folder / "environment.json").read_text())
    assert environment["command"] == "medfed simulate 'a file.toml' --set 'name=$other'"  # to be pasted into a shell
    assert environment["cpu"] is None or environment["cpu"] in Path("/proc/cpuinfo").read_text()


def test_leave_out(simulate: Any, place: Path) -> None:
    code, out, _ = simulate(*FAST, "--leave-out", "site-03", "--leave-out", "site-01")
    assert code == 0
    done = RunResult.load(place / "runs" / "tiny")
    assert done.summary.left_out == ["site-01", "site-03"]
    assert set(done.rounds()[0].sites) == {"site-02"}
    assert out.count("(left") == 2


def test_overwrite(simulate: Any) -> None:
    assert simulate(*FAST)[0] == 0
    code, _, err = simulate(*FAST)
    assert (code, "--overwrite" in err) == (2, True)
    assert simulate(*FAST, "--overwrite")[0] == 0


def test_help(simulate: Any) -> None:
    code, out, err = simulate("--help")
    assert (code, err) == (0, "")
    for option in ("--set", "--leave-out", "--out", "--overwrite", "--quiet", "130"):
        assert option in out


def test_a_failing_site_ends_in_3_with_cause_and_warning(simulate: Any, place: Path) -> None:
    code, out, err = simulate(*FAST, *failing("site-02"))
    assert code == 3
    assert "site site-02 failed: " in out
    assert out.count("RuntimeError: boom in the trainer") == 1  # the traceback, once
    assert err == ""
    told = " ".join(out.split())
    assert "warning: site site-02 failed in round 1" in told
    assert "DEGRADED page: runs/tiny/report.html" in told
    assert RunResult.load(place / "runs" / "tiny").status is Status.DEGRADED


def test_too_few_sites_end_in_4(simulate: Any, place: Path) -> None:
    code, _, err = simulate(*FAST, *failing("site-01", "site-02"))
    assert code == 4
    (line,) = err.splitlines()
    assert line.startswith("medfed: error: round 1: only 1 of 3 sites delivered (federation.quorum = 0.5)")
    assert RunResult.load(place / "runs" / "tiny").status is Status.STOPPED
    assert "STOPPED" in (place / "runs/tiny/report.html").read_text()


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).parent / "medfed"), "simulate", "tiny.toml", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def helpers(folder: Path) -> list[int]:
    """Ids of the processes that a run in ``folder`` started (fork server, workers, helpers), from the process table."""
    table = subprocess.run(["ps", "-wweo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    found = [line.split()[:2] for line in table.splitlines() if "simulations.engine.forkserver" in line]
    return [int(pid) for pid, parent in found if int(parent) != os.getpid() and place_of(pid) == str(folder)]


def place_of(pid: str) -> str:
    """The working directory of a process; nothing where it has ended."""
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/cwd")
    return ""


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if re.search(pattern, line):
            return seen
    raise AssertionError(f"ended without {pattern}: {seen} {process.stderr and process.stderr.read()}")


def test_ctrl_c_in_the_rounds_ends_in_130_and_keeps_what_is_done(place: Path) -> None:
    process = start("--set", "training.rounds=10000", "--out", str(place), "--set", "engine.workers=2")
    try:
        read_until(process, r"^round +2/10000")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")
    assert "STOPPED" in out
    done = RunResult.load(place / "tiny")
    assert done.status is Status.STOPPED
    assert 2 <= done.summary.rounds == len(done.rounds()) < 10000
    assert "STOPPED" in (place / "tiny" / "report.html").read_text()
    assert helpers(place) == []


def test_ctrl_c_in_the_baselines_ends_in_130_without_orphans(place: Path) -> None:
    """Sent while two helpers train the pooled model and the first local one, 200 steps each or more."""
    process = start("--out", str(place), "--set", "engine.workers=2", "--set", "training.local_steps=100")
    try:
        read_until(process, r"^round +2/2")
        summary = place / "tiny" / "summary.json"
        while not summary.exists():  # written when the rounds end
            assert process.poll() is None
        assert helpers(place) != []
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")
    assert "STOPPED" in out
    done = RunResult.load(place / "tiny")
    assert (done.status, done.summary.rounds) == (Status.STOPPED, 2)
    assert done.summary.mean.federated is not None
    assert "before the comparison" in done.summary.warnings[0]
    assert "STOPPED" in (place / "tiny" / "report.html").read_text()
    assert helpers(place) == []


def test_a_second_ctrl_c_ends_at_once(place: Path) -> None:
    process = start("--set", "training.rounds=10000", "--set", "training.local_steps=100000", "--out", str(place))
    try:
        while not (place / "tiny" / "rounds.jsonl").exists():  # the first site's local steps would take an hour
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        read_until(process, "press Ctrl-C again")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    assert (process.returncode, err.strip()) == (130, "")
    assert helpers(place) == []


def test_a_run_killed_with_9_leaves_no_helper_and_nothing_for_the_next_run(simulate: Any, place: Path) -> None:
    """Oracles: the system's own word that all processes ended (pidfd), and an undisturbed run of the same scenario."""
    process = start("--set", "training.rounds=10000", "--set", "engine.workers=2", "--out", str(place))
    found: list[int] = []
    try:
        while not list(place.glob("tiny/baselines/.work-*/*.claim")):  # a helper is at work
            read_until(process, "^round")
        found = helpers(place)
        watched = [os.pidfd_open(pid) for pid in found]
        assert len(watched) >= 4  # the fork server, two helpers, a worker at least
        process.kill()
        process.communicate(timeout=LIMIT_SECONDS)
        for descriptor in watched:
            assert select.select([descriptor], [], [], LIMIT_SECONDS)[0] == [descriptor]
            os.close(descriptor)
        assert helpers(place) == []
    finally:
        process.kill()
        for pid in set(found) & set(helpers(place)):
            os.kill(pid, signal.SIGKILL)
    second = ("--set", "seed=2", "--set", "training.rounds=1")
    assert simulate("--out", str(place), "--overwrite", *second)[0] == 0
    assert simulate("--out", str(place / "fresh"), *second)[0] == 0
    names = sorted(path.name for path in (place / "fresh/tiny/baselines").iterdir())
    assert len(names) == 8
    assert sorted(path.name for path in (place / "tiny/baselines").iterdir()) == names
    for name in names:
        assert (place / "tiny/baselines" / name).read_bytes() == (place / "fresh/tiny/baselines" / name).read_bytes()
