"""``compare_runs``: folders of finished runs in, a table of differences out."""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medfed.audit.contract import AuditContext
from medfed.audit.opening import FOLDER, open_run
from medfed.audit.results import AuditReport, Finding
from medfed.compare.paired import paired_differences, why_unpaired
from medfed.compare.results import ComparedRun, Comparison, FindingChange, MetricDifference
from medfed.determinism import deterministic
from medfed.errors import MedfedError, ScenarioError
from medfed.report.comparison import Difference, compare
from medfed.report.load import RunData, load_run
from medfed.results import Estimate

_NOT_COMPARED = ("name", "data.path", "engine", "tracking")
"""Keys that change no figure."""


def compare_runs(
    folders: Sequence[Path], progress: Callable[[str, float], None] = lambda what, done: None
) -> Comparison:
    """Every run beside the first: paired on the test images where they are the same, else by means and intervals.

    Args:
        folders: of at least two finished runs of one task and headline metric.
        progress: hears what is being done, and the share of it that is done.

    Raises:
        ScenarioError: fewer than two runs, or they do not do the same.
        RunFolderError: a folder is not that of a run.
    """
    if len(folders) < 2:
        raise ScenarioError("nothing to compare: give at least two folders of runs")
    runs = [load_run(folder) for folder in folders]
    for run in runs[1:]:
        _require_same_task(runs[0], run)
    names = _numbered([run.summary.name for run in runs])
    different = _different_settings(runs)
    first = _opened(runs[0])
    found = []
    with deterministic(True):
        for position, run in enumerate(runs):
            progress(names[position], position / len(runs))
            compared = _plain(run, names[position], different[position])
            found.append(compared if position == 0 else _beside(compared, run, first, runs[0]))
    return Comparison(task=runs[0].summary.task, headline_metric=runs[0].summary.headline_metric, runs=tuple(found))


def _require_same_task(first: RunData, run: RunData) -> None:
    ours, theirs = run.summary, first.summary
    if (ours.task, ours.headline_metric) != (theirs.task, theirs.headline_metric):
        raise ScenarioError(
            f"{run.folder}: a {ours.task} run judged by {ours.headline_metric} cannot be compared with "
            f"{first.folder}, a {theirs.task} run judged by {theirs.headline_metric}"
        )


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, those that occur more than once with a number."""
    return [
        name if names.count(name) == 1 else f"{name} #{names[: position + 1].count(name)}"
        for position, name in enumerate(names)
    ]


def _opened(run: RunData) -> AuditContext | str:
    """The run with its model and images; or why they are not to be had."""
    try:
        return open_run(run.folder, None, lambda what, done: None)[0]
    except MedfedError as error:
        return str(error).splitlines()[0]


def _plain(run: RunData, name: str, settings: dict[str, str]) -> ComparedRun:
    summary, report = run.summary, read_report(run.folder)
    return ComparedRun(
        name=name,
        status=summary.status,
        settings=settings,
        mean=summary.mean.federated or {},
        rounds=summary.rounds,
        seconds=summary.seconds,
        bytes_up=summary.bytes_up,
        epsilon=summary.privacy.guarantees[0].epsilon if summary.privacy and summary.privacy.guarantees else None,
        audit_verdict=report and str(report.verdict),
        audit={section.title or section.name: str(section.verdict) for section in report.sections} if report else {},
    )


def _beside(compared: ComparedRun, run: RunData, first: AuditContext | str, reference: RunData) -> ComparedRun:
    changes = tuple(_changes(run.folder, reference.folder))
    ours = _opened(run)
    if isinstance(ours, str) or isinstance(first, str):
        note = f"not tested again: {ours if isinstance(ours, str) else first}"
    else:
        note = why_unpaired(ours, first)
        if not note:
            differences = paired_differences(ours, first)
            return compared.model_copy(update={"differences": differences, "paired": True, "changes": changes})
    plain = {
        metric: MetricDifference(mean=_unpaired(estimate, theirs), outcome=compare(estimate, theirs, metric))
        for metric, estimate in compared.mean.items()
        if (theirs := (reference.summary.mean.federated or {}).get(metric)) is not None
    }
    return compared.model_copy(update={"differences": plain, "note": note, "changes": changes})


def _unpaired(ours: Estimate, theirs: Estimate) -> Estimate:
    """Difference of two means, without an interval: whether the images are independent is not known."""
    if ours.value is None or theirs.value is None:
        return Estimate(value=None, low=None, high=None, n=0)
    return Estimate(value=ours.value - theirs.value, low=None, high=None, n=min(ours.n, theirs.n))


def read_report(folder: Path) -> AuditReport | None:
    """The last audit of a run; None where there is none that can be read."""
    try:
        return AuditReport.model_validate_json((folder / FOLDER / "report.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _changes(ours: Path, theirs: Path) -> Iterator[FindingChange]:
    """Findings that both audits have, with which way they differ."""
    mine, other = _findings(ours), _findings(theirs)
    for key, finding in mine.items():
        before = other.get(key)
        if before is not None:
            yield FindingChange(
                section=key[0],
                what=key[1],
                reference=before.estimate,
                ours=finding.estimate,
                outcome=_outcome(finding, before),
            )


def _findings(folder: Path) -> dict[tuple[str, str], Finding]:
    report = read_report(folder)
    sections = report.sections if report else ()
    return {(section.title or section.name, f.what): f for section in sections for f in section.findings}


def _outcome(ours: Finding, theirs: Finding) -> Difference:
    """By intervals that do not overlap, as on a run's page."""
    mine, other = ours.estimate, theirs.estimate
    if mine.low is None or mine.high is None or other.low is None or other.high is None:
        return Difference.UNKNOWN
    if mine.low <= other.high and other.low <= mine.high:
        return Difference.UNCLEAR
    return Difference.BETTER if (mine.low > other.high) == (ours.direction == "at_least") else Difference.WORSE


def _different_settings(runs: Sequence[RunData]) -> list[dict[str, str]]:
    """Keys in which the scenarios differ -> value, of each run; a key that a run lacks is "not there"."""
    flat = [dict(_flat(_scenario(run))) for run in runs]
    keys = sorted({key for values in flat for key in values})
    differing = [key for key in keys if len({repr(values.get(key)) for values in flat}) > 1]
    return [{key: repr(values[key]) if key in values else "not there" for key in differing} for values in flat]


def _scenario(run: RunData) -> dict[str, Any]:
    try:
        return tomllib.loads(run.scenario or "")
    except tomllib.TOMLDecodeError:
        return {}


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = prefix + key
        if name in _NOT_COMPARED:
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value
