"""``simulate``: one scenario in, one run folder out."""

import os
import time
from pathlib import Path

import torch
from flwr.app import Context, RecordDict, UserConfig

from client.app import app as client_app
from medfed import events
from medfed.config import Scenario, load_scenario
from medfed.data.dataset import Dataset, open_dataset
from medfed.data.location import resolve_path
from medfed.errors import QuorumError, RunFolderError, ScenarioError, StopRequested
from medfed.report.page import render_run
from medfed.results import RunResult, Status
from medfed.run_folder import RunFolder, prepare
from server.app import app as server_app
from simulations import crew
from simulations.baselines import baseline_tasks
from simulations.compare import add_baselines
from simulations.examples import save_examples
from simulations.grid import InProcessGrid


def simulate(
    scenario: Scenario | str | Path,
    *,
    out: str | Path = "runs",
    overwrite: bool = False,
    listener: events.Listener | None = None,
    command: str = "medfed.simulate",
) -> RunResult:
    """Train across the sites of a scenario, train the baselines, compare, and write ``out/<name>``.

    Args:
        scenario: a value, or the path of its file.
        out: folder in which the run's folder is made.
        overwrite: replace an earlier run of the same name.
        listener: hears of progress (:mod:`medfed.events`); may raise ``StopRequested``.
        command: what the user typed, for the record.

    Returns:
        The finished run; ``status`` is COMPLETED or DEGRADED.

    Raises:
        ScenarioError, DataError, RunFolderError: bad input, found before anything is written.
        QuorumError, StopRequested: the run was stopped; its folder holds what was finished.
    """
    started = time.monotonic()
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario)
    scenario, dataset = check_inputs(scenario)
    folder = Path(out) / scenario.name
    _make(folder, overwrite)
    with events.listening(listener or (lambda event: None)):
        try:
            _run(scenario, dataset, folder, command, started)
        except (QuorumError, StopRequested) as reason:
            if (folder / "summary.json").exists():
                _mark_stopped(folder, str(reason))
                render_run(folder)
            raise
    return RunResult.load(folder)


def _make(folder: Path, overwrite: bool) -> None:
    """Create the run's folder, before any work is done for it.

    Raises:
        RunFolderError: it exists already, or cannot be made here.
    """
    try:
        prepare(folder, overwrite)
        folder.mkdir(parents=True)
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be made: {error.strerror}; choose another --out") from error


def check_inputs(scenario: Scenario) -> tuple[Scenario, Dataset]:
    """Open the data, fill in ``federation.sites``, and see that the model takes the images.

    Raises:
        ScenarioError, DataError: something does not fit.
    """
    if not scenario.data.path:
        raise ScenarioError('key "data.path": is missing; a simulation needs a manifest (.csv) or MedMNIST file (.npz)')
    dataset = open_dataset(resolve_path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)
    for key in ("sites", "leave_out"):
        unknown = sorted(set(getattr(scenario.federation, key)) - set(dataset.sites))
        if unknown:
            known = ", ".join(dataset.sites)
            raise ScenarioError(f'key "federation.{key}": no site "{", ".join(unknown)}"; the data have: {known}')
    expected = set(scenario.federation.sites) or set(dataset.sites)
    if not expected - set(scenario.federation.leave_out):
        remedy = f"take out one of: {', '.join(sorted(expected))}"
        raise ScenarioError(f'key "federation.leave_out": leaves no site to train at; {remedy}')
    _try_model(scenario)
    sites = tuple(sorted(expected))
    return scenario.model_copy(update={"federation": scenario.federation.model_copy(update={"sites": sites})}), dataset


def _try_model(scenario: Scenario) -> None:
    """One forward pass of one black image, before anything is written."""
    task = scenario.model_task
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            model = scenario.model(task).eval()
            shape = tuple(model(torch.zeros(1, task.channels, task.image_size, task.image_size)).shape)
    except (RuntimeError, ValueError) as error:
        raise ScenarioError(
            f'key "model": does not take {task.channels} x {task.image_size} x {task.image_size} images: {error}'
        ) from error
    expected = (
        (1, task.num_outputs)
        if task.kind == "classification"
        else (1, task.num_outputs, task.image_size, task.image_size)
    )
    if shape != expected:
        raise ScenarioError(f'key "model": gives outputs of shape {shape}, but the task needs {expected}')


def _run(scenario: Scenario, dataset: Dataset, folder: Path, command: str, started: float) -> None:
    baselines_folder = folder / "baselines"
    workers = scenario.engine.workers or os.cpu_count() or 1
    num_tasks = len(baseline_tasks(scenario, dataset))
    with crew.helpers(scenario, baselines_folder, min(workers - 1, num_tasks)) as helpers:
        _federate(scenario, folder, command)
        baselines = crew.finish(scenario, dataset, baselines_folder, helpers)
    summary = RunResult.load(folder).summary
    if baselines:
        summary = add_baselines(scenario, summary, baselines)
    warnings = [*summary.warnings, *dataset.warnings]
    save_examples(scenario, dataset, folder)
    summary = summary.model_copy(update={"warnings": warnings, "seconds": time.monotonic() - started})
    RunFolder(folder).write_summary(summary)
    render_run(folder)
    RunFolder(folder).write_summary(summary.model_copy(update={"seconds": time.monotonic() - started}))  # page included


def _mark_stopped(folder: Path, reason: str) -> None:
    """Say STOPPED where the rounds were complete but the baselines were not."""
    summary = RunResult.load(folder).summary
    if summary.status is not Status.STOPPED:
        warnings = [f"stopped before the comparison with local and pooled models: {reason}", *summary.warnings]
        summary = summary.model_copy(update={"status": Status.STOPPED, "warnings": warnings})
        RunFolder(folder).write_summary(summary)


def _federate(scenario: Scenario, folder: Path, command: str) -> None:
    """Run the ServerApp on the in-process grid, as a runtime of Flower would."""
    data = str(resolve_path(scenario.data.path))
    grid = InProcessGrid(client_app, {site: {"site": site, "data": data} for site in scenario.federation.sites})
    run_config: UserConfig = {"scenario": scenario.to_toml(), "out": str(folder.parent), "command": command}
    server_app(grid, Context(1, 1, {}, RecordDict(), run_config))
