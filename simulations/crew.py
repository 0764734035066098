"""Baselines on all cores: helper processes and, once it is free, this process share one list of tasks.

Who trains what does not change a number, since every task is seeded by itself. A helper never outlives the process
that started it: it holds the reading end of a pipe that the system closes when that process ends, however it ends.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from medfed import events
from medfed.config import Scenario, parse_scenario
from medfed.data.dataset import Dataset, open_dataset
from medfed.data.location import resolve_path
from medfed.errors import StopRequested
from simulations.baseline_files import BaselineFiles, Tests
from simulations.baselines import Task, baseline_tasks, train_baseline

_POLL_SECONDS = 0.5

Helper = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Crew:
    """The folder that all processes share, and the helpers in the order of their logs' numbers."""

    files: BaselineFiles
    helpers: list[Helper] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """The tests of every baseline that was trained; a line per baseline that failed; what else to know."""

    tests: dict[Task, Tests]
    failures: list[str]
    warnings: list[str]


@contextmanager
def hired(scenario: Scenario, folder: Path, count: int) -> Iterator[Crew]:
    """Run ``count`` helpers over the tasks; what is finished when the block ends is moved to ``folder``.

    Helpers are ended when the block is left by an exception. They form process groups of their own, so that Ctrl-C
    reaches this process alone, which then ends them.
    """
    crew = Crew(BaselineFiles.new(folder))
    try:
        for number in range(count):
            crew.helpers.append(_start(scenario, crew.files, number))
        yield crew
    except BaseException:
        for helper in crew.helpers:
            helper.terminate()
        raise
    finally:
        for number, helper in enumerate(crew.helpers):
            if helper.wait() == 0:
                _log(crew.files, number).unlink()
            assert helper.stdin is not None
            with suppress(BrokenPipeError):
                helper.stdin.close()
        crew.files.store()


def _start(scenario: Scenario, files: BaselineFiles, number: int) -> Helper:
    """A helper that imports what this process would: ``-P`` keeps the working directory off its path."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    with _log(files, number).open("wb") as log:
        helper = subprocess.Popen(
            [sys.executable, "-P", "-m", "simulations.crew", str(files.path)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,
        )
    assert helper.stdin is not None
    with suppress(BrokenPipeError):  # it died already: its exit code tells
        helper.stdin.write(json.dumps(scenario.to_toml()).encode() + b"\n")
        helper.stdin.flush()  # and left open: its end tells the helper that this process ended
    return helper


def _log(files: BaselineFiles, number: int) -> Path:
    return files.path / f"helper-{number}.log"


def work(scenario: Scenario, dataset: Dataset, files: BaselineFiles) -> None:
    """Train every task that nobody has claimed yet, one after the other; progress counts rounds of training."""
    tasks = baseline_tasks(scenario, dataset)
    for task in tasks:
        if files.claim(task):
            try:
                files.save(train_baseline(scenario, dataset, task, lambda done: _tell(scenario, files, tasks, done)))
            except StopRequested:
                raise
            except Exception as fault:  # a plug-in may be a user's own: whatever it raises costs this baseline only
                files.save_failure(task, fault)


def finish(scenario: Scenario, dataset: Dataset, crew: Crew) -> Outcome:
    """Help with what is left, wait for the helpers, and read what came of every baseline."""
    work(scenario, dataset, crew.files)
    tasks = baseline_tasks(scenario, dataset)
    for helper in crew.helpers:
        while helper.poll() is None:
            _tell(scenario, crew.files, tasks)
            with suppress(subprocess.TimeoutExpired):
                helper.wait(_POLL_SECONDS)
    if tasks:
        _tell(scenario, crew.files, tasks)
    found = {task: crew.files.tests(task) for task in tasks}
    return Outcome(
        tests={task: tests for task, tests in found.items() if tests is not None},
        failures=[
            f"baseline {task.label} is missing from the comparison: {crew.files.failure(task)}"
            for task, tests in found.items()
            if tests is None
        ],
        warnings=[
            f"helper process {number} ended with exit code {helper.returncode} (its log: baselines/helper-{number}.log)"
            for number, helper in enumerate(crew.helpers)
            if helper.returncode
        ],
    )


def _tell(scenario: Scenario, files: BaselineFiles, tasks: list[Task], rounds_of_mine: int = 0) -> None:
    rounds = scenario.training.rounds
    done = sum(files.ended(task) for task in tasks) * rounds + rounds_of_mine
    events.emit(events.StageDone("baselines", done, len(tasks) * rounds))


def main() -> None:
    """A helper process: the scenario is the first line of standard input, the shared folder the only argument."""
    scenario = parse_scenario(json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    dataset = open_dataset(resolve_path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)
    work(scenario, dataset, BaselineFiles(Path(sys.argv[1])))


def _end_with_parent() -> None:
    """Wait for the end of standard input: nothing is ever written to it after the scenario."""
    os.read(0, 1)  # not sys.stdin, whose lock would be held when the interpreter shuts down
    os._exit(1)


if __name__ == "__main__":
    main()
