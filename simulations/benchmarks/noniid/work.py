"""The list of runs, shared by any number of processes: whoever locks a run's file does it.

A lock ends with its process, so that a killed process leaves nothing behind but an unfinished run, which the next one
goes on with.
"""

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from simulations.benchmarks.noniid import runs
from simulations.benchmarks.noniid.choose import best, tried
from simulations.benchmarks.noniid.plan import SEEDS, TUNING_SEED, Trial, baseline_scenario, strategies, trials

_PAUSE_SECONDS = 5.0
Job = tuple[Path, Callable[[], bool], Callable[[], None]]
"""Its folder, whether it is done, and what does it."""


def work(sets: Sequence[str], out: Path) -> None:
    """Do what is not done, until nothing is left; what another process is at is waited for."""
    while True:
        busy = False
        for folder, done, do in jobs(sets, out):
            if done():
                continue
            with _locked(folder) as mine:
                if mine and not done():
                    print(f"{time.strftime('%H:%M:%S')} {folder.parent.name}/{folder.name}", flush=True)
                    do()
            busy = True
        if not busy:
            return
        time.sleep(_PAUSE_SECONDS)


def jobs(sets: Sequence[str], out: Path) -> Iterator[Job]:
    """What can be done now: all tuning first, then what its outcome asks for."""
    for set_name in sets:
        for strategy in strategies():
            yield from (run_job(trial, TUNING_SEED, out) for trial in trials(set_name, strategy))
    for seed in SEEDS:
        for set_name in sets:
            yield _baseline_job(set_name, seed, out)
            for strategy in strategies():
                figures = tried(set_name, strategy, out)
                chosen = best(figures) if figures else None
                if chosen is not None:
                    yield run_job(chosen, seed, out)


def run_job(trial: Trial, seed: int, out: Path) -> Job:
    """A federated run, whether for tuning or final."""
    scenario, parent = trial.scenario(seed), out / trial.set_name
    folder = parent / scenario.name

    def done() -> bool:
        return runs.finished(folder, scenario) is not None or runs.failure(folder) is not None

    return folder, done, lambda: runs.federate(scenario, parent)


def baseline_folder(set_name: str, seed: int, out: Path) -> Path:
    """Where the local and pooled models of a seed lie; others, once their learning rate is another."""
    rate = baseline_scenario(set_name, seed).training.optimizer.lr
    return out / set_name / f"baselines_local_lr-{rate}-seed{seed}"


def _baseline_job(set_name: str, seed: int, out: Path) -> Job:
    folder = baseline_folder(set_name, seed, out)
    marker = folder / "done"

    def do() -> None:
        runs.baselines(baseline_scenario(set_name, seed), folder)
        marker.touch()

    return folder, marker.exists, do


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether this process, and no other, has the run while the block lasts."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
