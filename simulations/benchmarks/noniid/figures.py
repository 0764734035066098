"""Test figures of the finished runs with the chosen values, beside the baselines of the same seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from medfed.report.sweep_statistics import mean_over_seeds
from medfed.results import Estimate, Evaluation, RunResult, Summary
from simulations.baselines.compare import add_baselines
from simulations.baselines.files import BaselineFiles
from simulations.baselines.tasks import Task
from simulations.benchmarks.noniid.plan import SEEDS, Trial, prepared_base
from simulations.benchmarks.noniid.runs import finished
from simulations.benchmarks.noniid.work import baseline_folder

Tests = Mapping[Task, Mapping[str, Evaluation]]


@dataclass(frozen=True)
class Baselines:
    """Of one seed and metric, as means over all sites: pooled, best single model, and each site's model on its own."""

    pooled: float
    best: float
    best_site: str
    own: float


def stored(set_name: str, seed: int, out: Path) -> Tests:
    """The tests of the local and pooled models; empty where they are not trained."""
    folder = baseline_folder(set_name, seed, out)
    if not (folder / "done").exists():
        return {}
    sites = prepared_base(set_name, seed).training_sites
    tasks = [Task("pooled"), *(Task("local", site) for site in sites)]
    return {task: tests for task in tasks if (tests := BaselineFiles(folder).tests(task)) is not None}


def compared(run: RunResult, trial: Trial, seed: int, tests: Tests) -> Summary:
    """The run's summary with the baselines."""
    return add_baselines(trial.scenario(seed), run.summary, tests)


def summaries(trial: Trial, out: Path) -> dict[int, Summary]:
    """Seed -> summary, for the seeds whose run and baselines are finished."""
    found = {}
    for seed in SEEDS:
        scenario = trial.scenario(seed)
        done = finished(out / trial.set_name / scenario.name, scenario)
        tests = stored(trial.set_name, seed, out)
        if done is not None and tests:
            found[seed] = compared(done, trial, seed, tests)
    return found


def baselines_of(summary: Summary, metric: str) -> Baselines | None:
    """From any run's summary, since they are the same for all runs of a seed; None where a figure is undefined."""
    site = summary.best_local_site.get(metric)
    pooled, own = _value(summary.mean.pooled, metric), _value(summary.mean.local, metric)
    if site is None or pooled is None or own is None:
        return None
    everywhere = [tests[metric].value for tests in summary.cross_site[site].values()]
    return Baselines(pooled, fmean(value for value in everywhere if value is not None), site, own)


def federated(found: Mapping[int, Summary], metric: str) -> Estimate:
    """Mean over seeds of the mean over sites."""
    values = [_value(summary.mean.federated, metric) for summary in found.values()]
    return mean_over_seeds([value for value in values if value is not None], bounded=True)


def gap_closed(found: Mapping[int, Summary], metric: str) -> Estimate:
    """Mean over seeds of the share of the gap; undefined where a seed has no gap, lest the others flatter."""
    shares = [summary.gap_closed.get(metric) for summary in found.values()]
    return mean_over_seeds([] if None in shares else [share for share in shares if share is not None])


def over_seeds(values: Sequence[float]) -> Estimate:
    """Of a metric in [0, 1]."""
    return mean_over_seeds(values, bounded=True)


def _value(metrics: Mapping[str, Estimate] | None, metric: str) -> float | None:
    return metrics[metric].value if metrics and metric in metrics else None
