"""One federated run without page and baselines, and the baselines that all runs of one set and seed share.

A run lies in a folder of its own. What is finished is kept, what was interrupted goes on from its last complete round.
"""

from pathlib import Path

from flwr.app import Context, RecordDict, UserConfig

from medfed.config import Scenario, parse_scenario
from medfed.data.location import resolve_path
from medfed.errors import MedfedError, ScenarioError
from medfed.files import file_name, write_text_atomic
from medfed.results import RunResult, Status
from medfed.run_folder import make_folder
from medfed.sections import EngineConfig
from server.app import app as server_app
from simulations.baselines import crew
from simulations.engine.grid import local_grid
from simulations.inputs import check_inputs
from simulations.sweeps.baselines import train_baselines, without_baselines

_FAILED = "error.txt"


def finished(folder: Path, scenario: Scenario) -> RunResult | None:
    """The run of exactly this scenario in ``folder``, if its rounds and tests are done."""
    written, summary = folder / "scenario.toml", folder / "summary.json"
    if not written.is_file() or not summary.is_file() or not same_numbers(written.read_text(), scenario):
        return None
    done = RunResult.load(folder)
    return None if done.status is Status.STOPPED else done


def failure(folder: Path) -> str | None:
    """Why the run in ``folder`` failed, in one line; None where it did not."""
    written = folder / _FAILED
    return written.read_text().splitlines()[0] if written.is_file() else None


def federate(scenario: Scenario, out: Path, command: str = "noniid", app: str = "client.app:app") -> None:
    """Train across the sites and test, in this process alone; a run that cannot be finished leaves its cause.

    Two such processes beside each other use two cores better than one with two workers: the server's share and the
    evaluation run in parallel too. ``app`` is the ClientApp, as ``module:attribute``.
    """
    scenario = _alone(scenario)
    folder = out / scenario.name
    if not _same(folder, scenario):
        make_folder(folder, scenario)
    data = str(resolve_path(scenario.data.path))
    configs: dict[str, UserConfig] = {
        site: {"site": site, "data": data, "home": str(folder / "sites" / file_name(site)), "simulated": True}
        for site in scenario.federation.sites
    }
    run_config: UserConfig = {
        "scenario": scenario.to_toml(),
        "out": str(out),
        "command": command,
        "resume": True,
        "simulated": True,
    }
    try:
        with local_grid(app, configs, workers=1) as grid:
            server_app(grid, Context(1, 1, {}, RecordDict(), run_config))
    except MedfedError as fault:  # a diverged loss at too many sites ends the run, not the benchmark
        write_text_atomic(folder / _FAILED, " ".join(f"{type(fault).__name__}: {fault}".split()))


def baselines(scenario: Scenario, folder: Path) -> crew.Outcome:
    """Local and pooled models, from ``folder`` if they are there."""
    scenario, dataset = check_inputs(scenario)
    return train_baselines(scenario, dataset, folder)


def prepared(scenario: Scenario) -> Scenario:
    """With its sites filled in; data and model are checked.

    Raises:
        ScenarioError, DataError: something does not fit.
    """
    return check_inputs(scenario)[0]


def same_numbers(written: str, scenario: Scenario) -> bool:
    """Whether a run of the scenario ``written``, as TOML, has the numbers that one of ``scenario`` would have.

    A key that is younger than ``written`` has its default there, which is what the run did.
    """
    text = scenario.to_toml()
    try:
        return written == text or _numbers(written) == _numbers(text)
    except ScenarioError:  # a key is gone since, or has another meaning
        return False


def _numbers(text: str) -> Scenario:
    """What decides a run's numbers: ``[engine]`` does not, and baselines are trained elsewhere."""
    scenario = without_baselines(parse_scenario(text))
    return scenario.model_copy(update={"engine": EngineConfig()})


def _alone(scenario: Scenario) -> Scenario:
    engine = scenario.engine.model_copy(update={"workers": 1})
    return without_baselines(scenario).model_copy(update={"engine": engine})


def _same(folder: Path, scenario: Scenario) -> bool:
    written = folder / "scenario.toml"
    return written.is_file() and written.read_text() == scenario.to_toml()
