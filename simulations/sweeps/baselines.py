"""Local and pooled models that the runs of a sweep share, since they do not depend on how updates are combined.

Runs that agree in everything but :data:`WITHOUT_EFFECT`, the seed included, have bit-equal baselines. They are trained
once, in ``baselines/KEY`` of the sweep's folder, and the comparison is then written into each run's summary and page.
"""

import hashlib
import json
import os
from pathlib import Path

from medfed.config import Scenario, to_dict
from medfed.data.dataset import Dataset
from medfed.report.page import render_run
from medfed.results import RunResult
from medfed.run_folder import RunFolder
from simulations.baselines import crew
from simulations.baselines.compare import add_baselines
from simulations.baselines.files import BaselineFiles
from simulations.baselines.tasks import baseline_tasks
from simulations.fingerprints import fingerprints, require_same, write

WITHOUT_EFFECT = (
    "name",
    "training.trainer",  # baselines train by the plain local loop
    "federation.strategy",
    "federation.aggregator",
    "federation.compression",
    "federation.secure_aggregation",
    "federation.sites_per_round",
    "federation.quorum",
    "federation.deadline_seconds",
    "federation.join_seconds",
    "adversary",  # the sites' own models and the pooled one are honest
    "privacy",  # and without noise
    "record.rounds",
    "engine.workers",
    "engine.window_mb",
    "engine.spool",
)
"""Keys that no baseline reads. A key that is not named here, a new one above all, makes baselines of its own."""

_KEY_DIGITS = 12


def baseline_key(scenario: Scenario) -> str:
    """Equal for two scenarios (sites filled in) only if their baselines are; safe as the name of a folder."""
    values = to_dict(scenario)
    for key in WITHOUT_EFFECT:
        *tables, last = key.split(".")
        table = values
        for name in tables:
            table = table[name]
        table.pop(last, None)  # [adversary] and [privacy] are left out where there is none
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:_KEY_DIGITS]


def baseline_folder(sweep: Path, scenario: Scenario) -> Path:
    """Where the baselines of this run lie in the folder of its sweep."""
    return sweep / "baselines" / baseline_key(scenario)


def train_baselines(scenario: Scenario, dataset: Dataset, folder: Path) -> crew.Outcome:
    """The baselines that the scenario asks for, from ``folder`` if all are there, else trained on all cores.

    Raises:
        RunFolderError: those in ``folder`` were trained on other data.
    """
    tasks = baseline_tasks(scenario, dataset)
    if tasks:
        found = fingerprints(dataset, scenario.federation.sites)
        require_same(folder, found, "remove this folder")
        write(folder, found)
    stored = {task: tests for task in tasks if (tests := BaselineFiles(folder).tests(task)) is not None}
    if len(stored) == len(tasks):
        return crew.Outcome(stored, [], [])
    workers = scenario.engine.workers or len(os.sched_getaffinity(0))
    with crew.hired(scenario, folder, min(workers, len(tasks)) - 1) as hired:  # and this process
        return crew.finish(scenario, dataset, hired)


def without_baselines(scenario: Scenario) -> Scenario:
    """The run by itself."""
    none = scenario.baselines.model_copy(update={"local": False, "pooled": False})
    return scenario.model_copy(update={"baselines": none})


def complete(run: RunResult, scenario: Scenario, outcome: crew.Outcome, folder: Path) -> RunResult:
    """Give a finished run its comparison with the baselines in ``folder``, in its summary and on its page, once."""
    if not outcome.tests:
        return run
    said = f"local and pooled models were trained once for this sweep, in {folder.parent.name}/{folder.name} beside it"
    summary = add_baselines(scenario, run.summary, outcome.tests)
    if said not in summary.warnings:
        summary = summary.model_copy(update={"warnings": [*summary.warnings, said]})
    if summary == run.summary:
        return run
    RunFolder(run.folder).write_summary(summary)
    render_run(run.folder)
    return RunResult(run.folder, summary)
