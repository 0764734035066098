"""``simulate``: one scenario in, one run folder out."""

import os
import shutil
import time
from pathlib import Path

from flwr.app import Context, RecordDict, UserConfig

from client.app import app as client_app
from medfed import events
from medfed.config import Scenario, load_scenario
from medfed.data.dataset import Dataset
from medfed.data.location import resolve_path
from medfed.errors import QuorumError, RunFolderError, StopRequested
from medfed.report.page import render_run
from medfed.results import RunResult, Status
from medfed.run_folder import RunFolder, check_free
from server.app import app as server_app
from server.federation import training_sites
from simulations import crew
from simulations.baselines import baseline_tasks
from simulations.compare import add_baselines
from simulations.examples import save_examples
from simulations.grid import InProcessGrid
from simulations.inputs import check_inputs


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
    folder = Path(out) / scenario.name
    check_free(folder, overwrite)
    scenario, dataset = check_inputs(scenario)
    _make(folder)
    with events.listening(listener or (lambda event: None)):
        try:
            _run(scenario, dataset, folder, command, started)
        except (QuorumError, StopRequested) as reason:
            if (folder / "summary.json").exists():
                _mark_stopped(folder, str(reason))
                render_run(folder)
            raise
    return RunResult.load(folder)


def _make(folder: Path) -> None:
    """Create the run's folder, in the place of an earlier run, before any work is done for it.

    Raises:
        RunFolderError: it cannot be made here.
    """
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be made: {error.strerror}; choose another --out") from error


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
    warnings = [*summary.warnings, *dataset.warnings, *_unequal_work(scenario, dataset)]
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


def _unequal_work(scenario: Scenario, dataset: Dataset) -> list[str]:
    """A warning where sites sit rounds out, since the baselines never do."""
    asked = scenario.federation.sites_per_round
    if not asked or asked >= len(training_sites(scenario)) or not baseline_tasks(scenario, dataset):
        return []
    return [f"federation.sites_per_round = {asked}: baselines train in every round, so they took more steps per site"]


def _federate(scenario: Scenario, folder: Path, command: str) -> None:
    """Run the ServerApp on the in-process grid, as a runtime of Flower would."""
    data = str(resolve_path(scenario.data.path))
    grid = InProcessGrid(client_app, {site: {"site": site, "data": data} for site in scenario.federation.sites})
    run_config: UserConfig = {"scenario": scenario.to_toml(), "out": str(folder.parent), "command": command}
    server_app(grid, Context(1, 1, {}, RecordDict(), run_config))
