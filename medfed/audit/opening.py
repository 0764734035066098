"""From a run's folder to the context that sections get.

What needs the floors above (another federated run, the fingerprints that a simulation kept of its data) is bound here,
by name, as the front door does with commands; sections get it as a value.
"""

from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError
from torch import nn

from medfed.audit.contract import AuditContext, Progress
from medfed.audit.digests import rows_digest, scenario_digest, weights_digest
from medfed.audit.results import RunIdentity
from medfed.checkpoints import damaged
from medfed.config import Scenario
from medfed.data.dataset import Dataset, open_dataset, pool
from medfed.data.location import resolve_path
from medfed.errors import RunFolderError, ScenarioError
from medfed.models.initial import initial_model, personal_entries
from medfed.params import load_weights, set_weights
from medfed.registry import resolve
from medfed.report.load import load_run
from medfed.results import RunResult
from medfed.run_folder import read_scenario
from medfed.types import Weights

FOLDER = "audit"
"""Inside the run's folder."""


def open_run(folder: Path, seed: int | None, progress: Progress) -> tuple[AuditContext, RunIdentity]:
    """Read a finished run: scenario, summary, data and the federated model.

    Args:
        folder: of the run.
        seed: of the audit; None: the scenario's.
        progress: hears what the sections do.

    Raises:
        RunFolderError, ScenarioError, DataError: it is no run's folder, is not finished, or its data are not there.
    """
    scenario, run = read_scenario(folder), load_run(folder)
    weights = _weights(folder)
    if not scenario.data.path:
        raise ScenarioError(f'{folder}: key "data.path" is empty; an audit needs the test images on this machine')
    dataset = open_dataset(resolve_path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)
    context = AuditContext(
        scenario=scenario,
        run=run,
        dataset=dataset,
        module=_model(folder, scenario, weights),
        seed=scenario.seed if seed is None else seed,
        data_change=_data_change(folder, scenario, dataset),
        run_scenario=_runner(folder),
        progress=progress,
    )
    identity = RunIdentity(
        name=scenario.name,
        task=scenario.task.kind,
        classes=scenario.task.classes,
        sites=context.sites,
        model_digest=weights_digest(weights),
        data_digest=rows_digest(dataset, pool([dataset.site(site) for site in context.sites]).test.rows),
        scenario_digest=scenario_digest(scenario),
    )
    return context, identity


def _weights(folder: Path) -> Weights:
    path = folder / "model.safetensors"
    if not path.is_file():
        raise RunFolderError(f"{folder}: has no model yet; finish the run first: medfed simulate --resume {folder}")
    try:
        return load_weights(path)
    except (OSError, SafetensorError) as error:
        raise damaged(path, str(error)) from error


def _model(folder: Path, scenario: Scenario, weights: Weights) -> nn.Module | None:
    """The federated model in evaluation mode, frozen; None where the sites keep parts of it."""
    model = initial_model(scenario)
    if personal_entries(scenario, model):
        return None
    try:
        set_weights(model, weights)
    except RuntimeError as error:
        raise damaged(folder / "model.safetensors", str(error)) from error
    return model.eval()


def _data_change(folder: Path, scenario: Scenario, dataset: Dataset) -> str | None:
    """How the data differ from those that the run began with; None where nothing was kept of them."""
    fingerprints, require_same, file = (
        resolve(f"simulations.fingerprints:{name}") for name in ("fingerprints", "require_same", "FILE")
    )
    if not (folder / file).exists():
        return None
    try:
        require_same(folder, fingerprints(dataset, scenario.federation.sites), "run the scenario anew")
    except RunFolderError as error:
        return str(error).removeprefix(f"{folder}: ")
    return ""


def _runner(folder: Path) -> Callable[[Scenario], RunResult]:
    def run_scenario(scenario: Scenario) -> RunResult:
        simulate = resolve("simulations.run:simulate")
        result: RunResult = simulate(scenario, out=folder / FOLDER / "runs", overwrite=True)
        return result

    return run_scenario
