"""Processes of the fork server. Oracles: what the system says of them (exit status, /proc, process descriptors)."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.engine import processes

ROOT = Path(__file__).parents[2]
PAUSE = "signal:pause"
ENDS_WITHIN_SECONDS = 60

SCRIPT = """
import os, sys
from pathlib import Path
from simulations.engine.processes import ForkServer, Order
order = Order("signal:pause", (), sys.path, os.getcwd(), dict(os.environ), 0)
started = ForkServer("os").start(order, [1, 2])
parent = Path(f"/proc/{started.pid}/stat").read_text().split()[3]
print(started.pid, parent, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("call", "arguments", "code"), [("os:getpid", [], 0), ("tests.simulations.pool_app:leave", ["3"], 3)]
)
def test_the_exit_code_of_a_process_is_told(call: str, arguments: list[str], code: int) -> None:
    assert processes.start(call, arguments).wait() == code


def test_a_killed_process_is_told_by_its_signal() -> None:
    process = processes.start(PAUSE)
    assert process.poll() is None
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.kill()  # it has ended: nobody else's is killed
    assert processes.describe(process.returncode) == "killed by SIGKILL"
    assert processes.describe(3) == "exit code 3"


def test_a_call_that_does_not_exist_is_exit_code_1_with_its_traceback(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = processes.start("os:no_such_function", log=log)
    assert process.wait() == 1
    assert "AttributeError" in (tmp_path / "log").read_text()


def test_a_process_finds_itself_where_its_starter_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDFED_TEST", "here")
    with Path("log").open("wb") as log:
        process = processes.start("tests.simulations.pool_app:report", log=log, niceness=10)
    assert process.wait() == 0
    nice = min(19, os.nice(0) + 10)
    assert json.loads(Path("log").read_text()) == {
        "folder": str(tmp_path),
        "variable": "here",
        "nice": nice,
        "deaf": True,  # to Ctrl-C
    }


def test_a_fork_server_that_was_killed_is_replaced() -> None:
    server = processes.ForkServer("os")  # quick
    order = processes.Order("signal:pause", (), sys.path, os.getcwd(), dict(os.environ), 0)
    first = server.start(order, [1, 2])
    assert server._process is not None
    server._process.kill()
    assert first.wait() == -signal.SIGKILL  # a process does not outlive its fork server
    second = server.start(order, [1, 2])
    assert second.poll() is None
    server.stop()
    assert second.wait() == -signal.SIGKILL


def test_nothing_outlives_a_killed_main_process() -> None:
    """A script without a guard, from standard input: it is not run again by what it starts."""
    main = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert main.stdout is not None
    pids = [int(pid) for pid in main.stdout.readline().split()]  # the process and its parent, the fork server
    watched = [os.pidfd_open(pid) for pid in pids]
    main.kill()
    main.wait()
    for descriptor in watched:
        assert select.select([descriptor], [], [], ENDS_WITHIN_SECONDS)[0], "a process is still there"
        os.close(descriptor)
