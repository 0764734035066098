"""What a defence costs: the score of a run that has it; and the weights that runs pass through."""

from dataclasses import dataclass
from pathlib import Path

from medfed.results import Estimate, RunResult
from simulations.benchmarks.bundled import finished
from simulations.benchmarks.leakage.plan import DEFENCES, ROUNDS, Cell, Norm, training_run
from simulations.run import simulate


@dataclass(frozen=True)
class Utility:
    """The headline metric of a run, mean over sites with interval, and epsilon of all its rounds, if any."""

    metric: str
    score: Estimate
    epsilon: float | None


def trained(net: str, norm: Norm, defence: str, out: Path) -> RunResult:
    """The run of the network with the defence; one that is finished is used again."""
    scenario = training_run(net, norm, defence)
    return finished(scenario, out / scenario.name) or simulate(scenario, out=out, overwrite=True)


def utility(net: str, defence: str, out: Path) -> Utility:
    """Of the run with the defence."""
    norm = DEFENCES[defence].cell.get("norm", "group")
    summary = trained(net, norm, defence, out).summary
    leading = summary.privacy.leading if summary.privacy else None
    epsilon = leading.epsilon if leading else None
    scores = summary.mean.federated
    assert scores is not None, "the run is complete"
    return Utility(summary.headline_metric, scores[summary.headline_metric], epsilon)


def weights_file(cell: Cell, out: Path) -> Path | None:
    """Where the weights lie from which the cell's update starts; None: untrained."""
    if not cell.rounds:
        return None
    run = trained(cell.net, "group" if cell.norm == "group" else "batch", "none", out).folder
    if cell.rounds == ROUNDS:
        return run / "model.safetensors"
    return run / "recorded" / str(cell.rounds + 1) / "global.weights.safetensors"
