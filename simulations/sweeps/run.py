"""``sweep``: a grid of scenarios times seeds in, one folder of runs and one table out; what is finished is kept."""

import dataclasses
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from medfed import events
from medfed.config import Scenario
from medfed.errors import StopRequested
from medfed.files import write_text_atomic
from medfed.report.sweep_page import render_sweep
from medfed.report.sweep_results import RunState, SweepResult, SweepRun
from medfed.results import RunResult, write_json
from medfed.run_folder import RunFolder, is_complete
from simulations.baselines import crew
from simulations.inputs import check_inputs
from simulations.run import resume, simulate
from simulations.sweeps.baselines import baseline_folder, complete, train_baselines, without_baselines
from simulations.sweeps.folder import claimed
from simulations.sweeps.plan import Plan, make_plan
from simulations.sweeps.table import finished_run, pending_run, table

RunListener = Callable[[int, int, str], None]
"""Hears of each run before it starts: its number from 1, how many there are, its name."""


@dataclasses.dataclass
class _Open:
    """A sweep in progress: what is known of every run by (label, seed), and the baselines by their key."""

    plan: Plan
    folder: Path
    runs: dict[tuple[str, int], SweepRun]
    outcomes: dict[str, crew.Outcome] = dataclasses.field(default_factory=dict)


def sweep(
    scenario: str | Path,
    grid: Sequence[str],
    *,
    seeds: int = 1,
    overrides: Sequence[str] = (),
    out: str | Path = "runs",
    listener: events.Listener | None = None,
    on_run: RunListener = lambda number, total, name: None,
    command: str = "medfed.sweep",
) -> tuple[Path, SweepResult]:
    """Run every combination of ``grid`` with every seed, and write ``out/<name>-sweep``.

    Args:
        scenario: path of its file.
        grid: axes as on the command line, e.g. ``"strategy.name=fedavg,fedprox"``.
        seeds: how many, counted up from the scenario's.
        overrides: ``KEY=VALUE``, for all runs.
        out: folder in which the sweep's folder is made.
        listener: hears of progress within a run; may raise ``StopRequested``.
        on_run: hears of each run that is not there yet.
        command: what the user typed, for the record.

    Returns:
        The folder and what is in its ``sweep.json``.

    Raises:
        ScenarioError, DataError, RunFolderError: bad input, found before anything is trained.
        StopRequested: the listener, or a file called ``stop`` in the sweep's folder, asked for the end; the folder
            holds what was finished; the same call goes on.
    """
    plan = make_plan(Path(scenario), grid, seeds, overrides)
    with claimed(plan, Path(out)) as folder:
        runs = {(p.label, seed): pending_run(p.scenarios[seed].name, seed) for p in plan.points for seed in plan.seeds}
        current = _Open(plan, folder, runs)

        def listen(event: events.Event) -> None:
            RunFolder(folder).heed_stop()
            if listener is not None:
                listener(event)

        return folder, _run_all(current, listen, on_run, command)


def _run_all(current: _Open, listener: events.Listener, on_run: RunListener, command: str) -> SweepResult:
    """Run what is not there yet, all points with one seed before the next seed."""
    plan, folder = current.plan, current.folder
    jobs = [(point.label, seed, point.scenarios[seed]) for seed in plan.seeds for point in plan.points]
    result = _write(current)
    for number, (label, seed, chosen) in enumerate(jobs, start=1):

        def run(scenario: Scenario, number: int = number) -> RunResult:
            on_run(number, len(jobs), scenario.name)
            if _holds(folder / scenario.name, scenario):
                return resume(folder / scenario.name, listener=listener, command=command)
            return simulate(scenario, out=folder, overwrite=True, listener=listener, command=command)

        with events.listening(listener):
            current.runs[label, seed] = _try(current, chosen, run)
        result = _write(current)
    return result


def _try(current: _Open, scenario: Scenario, run: Callable[[Scenario], RunResult]) -> SweepRun:
    """One run with its comparison; whatever a plug-in raises costs this run only."""
    try:
        outcome = _baselines(current, scenario)
        folder, alone = current.folder / scenario.name, without_baselines(scenario)
        done = RunResult.load(folder) if _holds(folder, alone) and is_complete(folder) else run(alone)
        (folder / "error.txt").unlink(missing_ok=True)
        return finished_run(complete(done, scenario, outcome, baseline_folder(current.folder, scenario)), scenario)
    except StopRequested:
        raise
    except Exception as fault:
        return _failed(current.folder / scenario.name, scenario.seed, fault)


def _failed(folder: Path, seed: int, fault: Exception) -> SweepRun:
    folder.mkdir(exist_ok=True)
    text = "".join(traceback.format_exception(fault))
    write_text_atomic(folder / "error.txt", text, errors="backslashreplace")
    cause = " ".join(f"{type(fault).__name__}: {fault}".split())
    return pending_run(folder.name, seed).model_copy(update={"state": RunState.FAILED, "cause": cause})


def _baselines(current: _Open, scenario: Scenario) -> crew.Outcome:
    """Trained before the first run that needs them, so that no run's time contains them."""
    folder = baseline_folder(current.folder, scenario)
    if folder.name not in current.outcomes:
        current.outcomes[folder.name] = train_baselines(scenario, check_inputs(scenario)[1], folder)
    return current.outcomes[folder.name]


def _holds(folder: Path, scenario: Scenario) -> bool:
    """Whether the folder is that of a run of exactly this scenario."""
    written = folder / "scenario.toml"
    return written.is_file() and written.read_text(encoding="utf-8") == scenario.to_toml()


def _write(current: _Open) -> SweepResult:
    """``sweep.json`` and ``report.html`` as things stand."""
    failures = [
        f"baselines/{key}: {line}"
        for key, outcome in current.outcomes.items()
        for line in [*outcome.failures, *outcome.warnings]
    ]
    result = table(current.plan, current.runs, failures)
    write_json(current.folder / "sweep.json", result)
    render_sweep(current.folder)
    return result
