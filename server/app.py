"""The Flower ServerApp: the same object on the in-process grid, on Ray and on a SuperLink.

Run config: ``scenario`` is the scenario as TOML text, ``out`` the folder in which the run's folder is made
(default ``runs``), ``command`` what the user typed, ``resume`` whether to go on with the run that lies there,
``simulated`` that all sites are in one machine or cluster of ours (a SuperLink lets nobody set it).
"""

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from medfed.config import parse_scenario
from medfed.errors import RunFolderError, ScenarioError
from medfed.run_folder import RunFolder
from server.federation import federate

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run one federated training from join to final evaluation, and write its folder.

    Raises:
        ScenarioError: no scenario was given, it is not valid, or it has malicious sites in a deployment.
        RunFolderError: the folder holds a run already.
    """
    text = str(context.run_config.get("scenario", ""))
    if not text:
        raise ScenarioError('run-config key "scenario": is empty; give the scenario as TOML text')
    scenario = parse_scenario(text, "run-config scenario")
    simulated = context.run_config.get("simulated") is True
    if scenario.adversary.sites and not simulated:
        raise ScenarioError('key "adversary": only a simulation plays malicious sites; leave it out of a deployment')
    out = Path(str(context.run_config.get("out", "")) or "runs")
    folder = RunFolder(out / scenario.name)
    resume = bool(context.run_config.get("resume", False))
    if folder.has_started() and not resume:
        raise RunFolderError(f"{folder.path}: holds a run already; set run-config resume=true, or choose another out")
    if not folder.has_started():
        folder.start(scenario, str(context.run_config.get("command", "")) or "flwr run")
    federate(grid, scenario, folder, simulated)
