"""From finished run folders to the table of a sweep."""

from collections.abc import Mapping, Sequence

from medfed.config import Scenario
from medfed.report.sweep_results import RunState, SweepResult, SweepRun
from medfed.report.sweep_rows import build_row, compare_rows
from medfed.results import RoundResult, RunResult, Status
from server.stopping import best_round, mean_validation
from simulations.sweeps.plan import Plan, Point


def pending_run(folder: str, seed: int) -> SweepRun:
    """A run that was not tried yet."""
    return SweepRun(seed=seed, folder=folder, state=RunState.PENDING)


def finished_run(run: RunResult, scenario: Scenario) -> SweepRun:
    """The headline figures of a run: those of its final model on test images and on validation images."""
    summary = run.summary
    metric = summary.headline_metric
    return SweepRun(
        seed=scenario.seed,
        folder=run.folder.name,
        state=RunState(summary.status.value),
        validation=_validation(run.rounds(), scenario),
        test=(summary.mean.federated or {}).get(metric),
        gap_closed=summary.gap_closed.get(metric),
        seconds=summary.seconds,
        bytes_up=summary.bytes_up,
        bytes_down=summary.bytes_down,
    )


def _validation(rounds: Sequence[RoundResult], scenario: Scenario) -> float | None:
    """Of the round whose weights became the model: the best one where ``evaluation.keep`` says so, else the last."""
    scores = {result.round: mean_validation(result, scenario.headline) for result in rounds}
    if scenario.evaluation.keep == "best":
        best = best_round(scenario, rounds)
        return None if best is None else scores[best]
    return scores[max(scores)] if scores else None


def table(plan: Plan, runs: Mapping[tuple[str, int], SweepRun], warnings: Sequence[str]) -> SweepResult:
    """The whole table; rows stand in the order of the grid."""
    metric = plan.points[0].scenarios[plan.seeds[0]].headline
    groups = _data_groups(plan)
    rows = [
        build_row(p.label, p.settings, groups[p.label], [runs[p.label, seed] for seed in plan.seeds], metric)
        for p in plan.points
    ]
    return SweepResult(
        name=plan.name,
        status=_status(list(runs.values()), warnings),
        task=plan.base.task.kind,
        headline_metric=metric,
        axes={axis.key: list(axis.values) for axis in plan.axes},
        seeds=list(plan.seeds),
        rows=compare_rows(rows, metric),
        warnings=list(warnings),
    )


def _data_groups(plan: Plan) -> dict[str, int]:
    """Label -> number, from 1, of what it is trained and scored on: images, their division, and who is left out."""
    keys = {point.label: _data_key(point) for point in plan.points}
    order = list(dict.fromkeys(keys.values()))
    return {label: 1 + order.index(key) for label, key in keys.items()}


def _data_key(point: Point) -> str:
    scenario = next(iter(point.scenarios.values()))
    return repr((scenario.task.classes, scenario.data, scenario.federation.sites, scenario.federation.leave_out))


def _status(runs: Sequence[SweepRun], warnings: Sequence[str]) -> Status:
    if any(run.state is RunState.PENDING for run in runs):
        return Status.STOPPED
    whole = all(run.state is RunState.COMPLETED for run in runs) and not warnings
    return Status.COMPLETED if whole else Status.DEGRADED
