"""Baselines on all cores: helper processes share one list of tasks; this process trains what they leave.

Who trains what does not change a number, since every task is seeded by itself. Helpers give way to the rounds that run
beside them, and end with this process (:mod:`simulations.engine.processes`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from medfed import events
from medfed.config import Scenario, parse_scenario
from medfed.data.dataset import Dataset, open_dataset
from medfed.data.location import resolve_path
from medfed.devices import computing_on, current_device
from medfed.errors import StopRequested, WriteError
from medfed.run_folder import RunFolder
from simulations.baselines.files import BaselineFiles, Tests
from simulations.baselines.tasks import Task, baseline_tasks, train_baseline
from simulations.engine import processes

_POLL_SECONDS = 0.5
_NICENESS = 10  # a tenth of a core where rounds want it, all of it where they wait


@dataclass(frozen=True)
class Crew:
    """The folder that all processes share, and the helpers in the order of their logs' numbers."""

    files: BaselineFiles
    helpers: list[processes.Process] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """The tests of every baseline that was trained; a line per baseline that failed; what else to know."""

    tests: dict[Task, Tests]
    failures: list[str]
    warnings: list[str]


@contextmanager
def hired(scenario: Scenario, folder: Path, count: int) -> Iterator[Crew]:
    """Run ``count`` helpers over the tasks; what is finished when the block ends is moved to ``folder``.

    Helpers are ended when the block is left by an exception.
    """
    crew = Crew(BaselineFiles.new(folder))
    try:
        for number in range(count):
            crew.helpers.append(_start(scenario, crew.files, number))
        yield crew
    except BaseException:
        for helper in crew.helpers:
            helper.kill()
        raise
    finally:
        for number, helper in enumerate(crew.helpers):
            if helper.wait() == 0:
                _log(crew.files, number).unlink()
        crew.files.store()


def _start(scenario: Scenario, files: BaselineFiles, number: int) -> processes.Process:
    arguments = [scenario.to_toml(), str(files.path.absolute()), str(current_device())]
    with _log(files, number).open("wb") as log:
        return processes.start("simulations.baselines.crew:assist", arguments, log=log, niceness=_NICENESS)


def _log(files: BaselineFiles, number: int) -> Path:
    return files.path / f"helper-{number}.log"


def work(scenario: Scenario, dataset: Dataset, files: BaselineFiles) -> None:
    """Train every task that nobody has claimed yet, one after the other; progress counts rounds of training."""
    tasks = baseline_tasks(scenario, dataset)
    for task in tasks:
        if files.claim(task):
            try:
                files.save(train_baseline(scenario, dataset, task, lambda done: _tell(scenario, files, tasks, done)))
            except (StopRequested, WriteError):  # a full disk costs all others, too
                raise
            except Exception as fault:  # a plug-in may be a user's own: whatever it raises costs this baseline only
                files.save_failure(task, fault)


def finish(scenario: Scenario, dataset: Dataset, crew: Crew) -> Outcome:
    """Wait for the helpers, train what they left (all, where there are none), and read what came of every baseline.

    Raises:
        WriteError: a baseline that was trained cannot be stored.
    """
    tasks = baseline_tasks(scenario, dataset)
    for helper in crew.helpers:
        _await(scenario, crew, tasks, helper)
    work(scenario, dataset, crew.files)
    _retry(scenario, crew, tasks)
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
            f"helper process {number}: {processes.describe(helper.returncode)} (its log: baselines/helper-{number}.log)"
            for number, helper in enumerate(crew.helpers)
            if helper.returncode
        ],
    )


def _await(scenario: Scenario, crew: Crew, tasks: list[Task], helper: processes.Process) -> None:
    while helper.poll(_POLL_SECONDS) is None:
        _tell(scenario, crew.files, tasks)


def _retry(scenario: Scenario, crew: Crew, tasks: list[Task]) -> None:
    """Train once more what helpers died of, in another helper: this process must outlive a lack of memory."""
    left = [task for task in tasks if not crew.files.ended(task)]
    if left and crew.helpers:
        for task in left:
            crew.files.release(task)
        crew.helpers.append(_start(scenario, crew.files, len(crew.helpers)))
        _await(scenario, crew, tasks, crew.helpers[-1])


def _tell(scenario: Scenario, files: BaselineFiles, tasks: list[Task], rounds_of_mine: int = 0) -> None:
    RunFolder(files.path.parents[1]).heed_stop()  # RUN/baselines/.work-...; a sweep looks between its runs
    rounds = scenario.training.rounds
    done = sum(files.ended(task) for task in tasks) * rounds + rounds_of_mine
    events.emit(events.StageDone("baselines", done, len(tasks) * rounds))


def assist(scenario_toml: str, folder: str, device: str) -> None:
    """What a helper process does, in one torch thread, on the device of who started it."""
    torch.set_num_threads(1)
    scenario = parse_scenario(scenario_toml)
    dataset = open_dataset(resolve_path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)
    with computing_on(torch.device(device)):
        work(scenario, dataset, BaselineFiles(Path(folder)))
