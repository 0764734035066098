"""Baselines on all cores: helper processes and, once it is free, this process share one list of tasks.

Each task is claimed by creating a file (O_EXCL), trained, and stored as ``baselines/NAME.json`` and
``.safetensors``. Who trains what does not change a number, since every task is seeded by itself.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter

from medfed import events
from medfed.config import Scenario, parse_scenario
from medfed.data.dataset import Dataset, open_dataset
from medfed.data.location import resolve_path
from medfed.errors import MedfedError
from medfed.params import save_weights
from medfed.results import Evaluation
from medfed.run_folder import file_name
from simulations.baselines import Task, baseline_tasks, train_baseline

Tests = dict[str, Evaluation]
_TESTS = TypeAdapter(Tests)
_ROOT = Path(__file__).parents[1]
_POLL_SECONDS = 0.5


class BaselineError(MedfedError):
    """A helper process could not train its baselines."""

    exit_code = 4


@contextmanager
def helpers(scenario: Scenario, folder: Path, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run ``count`` helper processes over the tasks; they are ended when the block is left by an exception.

    They form process groups of their own, so that Ctrl-C reaches this process alone, which then ends them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = [_start(scenario, folder, number) for number in range(count)]
    try:
        yield started
    except BaseException:
        for process in started:
            process.terminate()
        raise
    finally:
        for process in started:
            process.wait()


def _start(scenario: Scenario, folder: Path, number: int) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])}
    with (folder / f"helper-{number}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "simulations.crew", str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(scenario.to_toml().encode())
    process.stdin.close()
    return process


def work(scenario: Scenario, dataset: Dataset, folder: Path) -> None:
    """Train every task that nobody has claimed yet, one after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = baseline_tasks(scenario, dataset)
    for task in tasks:
        if _claim(folder, task):
            baseline = train_baseline(scenario, dataset, task)
            save_weights(folder / f"{_name(task)}.safetensors", baseline.weights)
            temporary = folder / f"{_name(task)}.json.tmp"
            temporary.write_bytes(_TESTS.dump_json(baseline.tests))
            temporary.replace(folder / f"{_name(task)}.json")
        events.emit(events.StageDone("baselines", _num_done(folder, tasks), len(tasks)))


def finish(
    scenario: Scenario, dataset: Dataset, folder: Path, started: list[subprocess.Popen[bytes]]
) -> dict[Task, Tests]:
    """Help with what is left, wait for the helpers, and read every baseline's tests.

    Raises:
        BaselineError: a helper failed; names its log.
    """
    work(scenario, dataset, folder)
    tasks = baseline_tasks(scenario, dataset)
    for process in started:
        while process.poll() is None:
            events.emit(events.StageDone("baselines", _num_done(folder, tasks), len(tasks)))
            try:
                process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    missing = [task.label for task in tasks if not (folder / f"{_name(task)}.json").exists()]
    if missing:
        raise BaselineError(f"baselines not trained: {', '.join(missing)}; the cause stands in {folder}/helper-*.log")
    for leftover in [*folder.glob("*.claim"), *folder.glob("helper-*.log")]:
        leftover.unlink()
    return {task: _TESTS.validate_json((folder / f"{_name(task)}.json").read_bytes()) for task in tasks}


def _claim(folder: Path, task: Task) -> bool:
    try:
        (folder / f"{_name(task)}.claim").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _num_done(folder: Path, tasks: list[Task]) -> int:
    return sum((folder / f"{_name(task)}.json").exists() for task in tasks)


def _name(task: Task) -> str:
    return "pooled" if task.kind == "pooled" else f"local-{file_name(task.site)}"


def main() -> None:
    """A helper process: the scenario comes on standard input, the folder as the only argument."""
    scenario = parse_scenario(sys.stdin.read())
    dataset = open_dataset(resolve_path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)
    work(scenario, dataset, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
