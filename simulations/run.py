"""``simulate``: one scenario in, one run folder out."""

import time
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import torch
from flwr.app import Context, RecordDict, UserConfig

from medfed import events
from medfed.config import Scenario, load_scenario
from medfed.data.dataset import Dataset
from medfed.data.location import resolve_path
from medfed.devices import CPU, computing_on, devices
from medfed.errors import DeviceError, RunFolderError, WriteError
from medfed.files import file_name, writing
from medfed.lock import locked
from medfed.report.page import render_run
from medfed.results import RunResult, Status, Summary
from medfed.run_folder import STOP_FILE, RunFolder, check_free, is_complete, make_folder, read_scenario
from server.app import app as server_app
from simulations import fingerprints
from simulations.adversary import malicious_warning
from simulations.baselines import crew
from simulations.baselines.compare import add_baselines
from simulations.baselines.tasks import baseline_tasks
from simulations.engine.grid import local_grid
from simulations.engine.ray_engine import RayEngine
from simulations.engine.workers import num_workers
from simulations.examples import save_examples
from simulations.inputs import check_inputs
from simulations.vectorise import refuse_batches


def simulate(
    scenario: Scenario | str | Path,
    *,
    out: str | Path = "runs",
    overwrite: bool = False,
    listener: events.Listener | None = None,
    command: str = "medfed.simulate",
    engine: RayEngine | None = None,
    device: str = "cpu",
) -> RunResult:
    """Train across the sites of a scenario, train the baselines, compare, and write ``out/<name>``.

    Args:
        scenario: a value, or the path of its file.
        out: folder in which the run's folder is made.
        overwrite: replace an earlier run of the same name.
        listener: hears of progress (:mod:`medfed.events`); may raise ``StopRequested``.
        command: what the user typed, for the record.
        engine: where sites train in the place of this machine's processes; it changes no number.
        device: ``cpu``, ``cuda`` (sites are spread over all GPUs) or ``cuda:1``; it changes the last bits.

    Returns:
        The finished run; ``status`` is COMPLETED or DEGRADED.

    Raises:
        ScenarioError, DataError, DeviceError, RunFolderError, EngineError: bad input, found before anything is
            written.
        QuorumError, StopRequested: the run was stopped; its folder holds what was finished.
    """
    started = time.monotonic()
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario)
    folder = Path(out) / scenario.name
    check_free(folder, overwrite)
    scenario, dataset = check_inputs(scenario)
    place = _place(scenario, engine, device)
    with locked(folder):
        make_folder(folder, scenario)
        fingerprints.write(folder, fingerprints.fingerprints(dataset, scenario.federation.sites))
        return _complete(scenario, dataset, folder, listener, command, started, place)


def resume(
    folder: str | Path,
    *,
    listener: events.Listener | None = None,
    command: str = "medfed.resume",
    engine: RayEngine | None = None,
    device: str = "cpu",
) -> RunResult:
    """Go on with a run that was stopped or killed, from its last complete round; one that is complete stays as it is.

    Args:
        folder: the run's folder; its scenario is the one that it holds.
        listener: as in :func:`simulate`.
        command: as in :func:`simulate`.
        engine: as in :func:`simulate`; it may be another than before.
        device: as in :func:`simulate`; of the kind that it was before.

    Raises:
        RunFolderError: it is no run's folder, is damaged, its data changed, or it began on another kind of device. Else
            as :func:`simulate`.
    """
    started = time.monotonic()
    folder = Path(folder)
    scenario, dataset = check_inputs(read_scenario(folder))
    if is_complete(folder):
        return RunResult.load(folder)
    place = _place(scenario, engine, device)
    _require_device(RunFolder(folder), place.devices[0].type)
    with locked(folder):
        found = fingerprints.fingerprints(dataset, scenario.federation.sites)
        fingerprints.require_same(folder, found, "run the scenario anew with --overwrite")
        fingerprints.write(folder, found)  # where the run was killed before it could
        (folder / STOP_FILE).unlink(missing_ok=True)
        return _complete(scenario, dataset, folder, listener, command, started, place)


class _Place(NamedTuple):
    """Where sites train: in how many processes of this machine and on which devices, or on an engine."""

    workers: int
    devices: tuple[torch.device, ...]
    engine: RayEngine | None


def _place(scenario: Scenario, engine: RayEngine | None, device: str) -> _Place:
    if engine is not None:
        refuse_batches(scenario)
        if device != CPU.type:
            raise DeviceError(
                f'device: sites train on the CPU on Ray; got "{device}"; leave out --device or --engine ray'
            )
        engine.check()
    found = devices(device)
    return _Place(num_workers(scenario, found), found, engine)


def _require_device(folder: RunFolder, kind: str) -> None:
    """Before runs could have a device all were on the CPU."""
    if folder.has_started() and (before := folder.recorded("device", CPU.type)) != kind:
        raise RunFolderError(
            f"{folder.path}: expected the kind of device that the run began on, {before}, got {kind}; "
            f"go on with --device {before}"
        )


def _complete(
    scenario: Scenario,
    dataset: Dataset,
    folder: Path,
    listener: events.Listener | None,
    command: str,
    started: float,
    place: _Place,
) -> RunResult:
    """Run what is missing in ``folder``: rounds, baselines, page."""
    try:
        with events.listening(listener or (lambda event: None)), computing_on(place.devices[0]):
            summary = _run(scenario, dataset, folder, command, place)
    except RunFolderError:  # damaged: left as it is
        raise
    except BaseException as reason:
        with suppress(WriteError):  # where the disk is full, one line about it is enough
            _mark_stopped(folder, reason)
        raise
    RunFolder(folder).write_summary(_timed(summary, started))
    render_run(folder)
    RunFolder(folder).write_summary(_timed(summary, started))  # page included
    return RunResult.load(folder)


def _timed(summary: Summary, started: float) -> Summary:
    return summary.model_copy(update={"seconds": time.monotonic() - started})


def _run(scenario: Scenario, dataset: Dataset, folder: Path, command: str, place: _Place) -> Summary:
    """Everything but the page; the summary is not written yet."""
    baselines_folder = folder / "baselines"
    num_helpers = min(place.workers, len(baseline_tasks(scenario, dataset))) if place.workers > 1 else 0
    with crew.hired(scenario, baselines_folder, num_helpers) as hired:
        _federate(scenario, folder, command, place)
        outcome = crew.finish(scenario, dataset, hired)
    with writing(folder / "figures"):
        save_examples(scenario, dataset, folder)
    summary = RunResult.load(folder).summary
    if outcome.tests:
        summary = add_baselines(scenario, summary, outcome.tests)
    notes = [*malicious_warning(scenario), *_unequal_work(scenario, dataset)]
    warnings = [*outcome.failures, *outcome.warnings, *dataset.warnings, *notes]
    status = Status.DEGRADED if outcome.failures else summary.status
    return summary.model_copy(update={"status": status, "warnings": [*summary.warnings, *warnings]})


def _mark_stopped(folder: Path, reason: BaseException) -> None:
    """Say STOPPED where the rounds were complete but the rest was not, and write the page of what there is."""
    if not (folder / "summary.json").exists():
        return
    summary = RunResult.load(folder).summary
    if summary.status is not Status.STOPPED:
        cause = str(reason) or type(reason).__name__
        warnings = [f"stopped before the comparison with local and pooled models: {cause}", *summary.warnings]
        summary = summary.model_copy(update={"status": Status.STOPPED, "warnings": warnings})
        RunFolder(folder).write_summary(summary)
    if isinstance(reason, Exception):  # not after a second Ctrl-C, which ends at once
        render_run(folder)


def _unequal_work(scenario: Scenario, dataset: Dataset) -> list[str]:
    """A warning where sites sit rounds out, since the baselines never do."""
    asked = scenario.federation.sites_per_round
    if not asked or asked >= len(scenario.training_sites) or not baseline_tasks(scenario, dataset):
        return []
    return [f"federation.sites_per_round = {asked}: baselines train in every round, so they took more steps per site"]


def _federate(scenario: Scenario, folder: Path, command: str, place: _Place) -> None:
    """Run the ServerApp on a grid in this machine, as a runtime of Flower would, or on ``engine``."""
    data = str(resolve_path(scenario.data.path))
    content = fingerprints.digest(folder)  # a process that has several runs reads data once, and again if they change
    configs = {
        site: _node_config(scenario, folder, site, data) | {"device": str(device), "data-digest": content}
        for site, device in zip(scenario.federation.sites, cycle(place.devices), strict=False)
    }
    run_config: UserConfig = {
        "scenario": scenario.to_toml(),
        "out": str(folder.parent),
        "command": command,
        "resume": True,
        "simulated": True,
    }
    if place.engine is not None:
        place.engine.run(server_app, scenario, run_config, folder, place.workers)
        return
    with local_grid("client.app:app", configs, place.workers, together="client.batch:together") as grid:
        server_app(grid, Context(1, 1, {}, RecordDict(), run_config))


def _node_config(scenario: Scenario, folder: Path, site: str, data: str) -> UserConfig:
    """What a hospital would write into its own configuration, and that there is none."""
    home = str(folder / "sites" / file_name(site))
    ledger = scenario.privacy.ledger
    return {
        "site": site,
        "data": data,
        "home": home,
        "ledger": str(Path(ledger) / file_name(site)) if ledger else home,
        "simulated": True,
    }
