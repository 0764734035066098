"""``compare_runs``: folders of finished runs in, a table of differences out."""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfed.audit.contract import AuditContext
from medfed.audit.opening import open_run
from medfed.audit.results import AuditReport
from medfed.compare.audits import changes, read_report, section_label, stale, unlike
from medfed.compare.paired import paired_differences, why_unpaired
from medfed.compare.results import ComparedRun, Comparison, MetricDifference
from medfed.determinism import deterministic
from medfed.errors import MedfedError, ScenarioError
from medfed.report.comparison import compare
from medfed.report.load import RunData, load_run
from medfed.results import Estimate, Guarantee

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
    first = _open(runs[0])
    found = []
    with deterministic(True):
        for position, run in enumerate(runs):
            progress(names[position], position / len(runs))
            opened = first if position == 0 else _open(run)
            compared = _plain(opened, names[position], different[position])
            found.append(compared if position == 0 else _beside(compared, opened, first))
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


@dataclass(frozen=True)
class _Opened:
    """A run to be compared.

    Attributes:
        run: its folder and figures.
        context: its model and images; None where these are not to be had.
        why: they are not; empty where they are.
        report: its last audit; None without one.
        stale: in what the audit is not of the run as it is now.
    """

    run: RunData
    context: AuditContext | None
    why: str
    report: AuditReport | None
    stale: str


def _open(run: RunData) -> _Opened:
    context, identity, why = None, None, ""
    try:
        context, identity = open_run(run.folder, None, lambda what, done: None)
    except MedfedError as error:
        why = str(error).splitlines()[0]
    report = read_report(run.folder)
    return _Opened(run, context, why, report, stale(report, run.folder, identity) if report else "")


def _plain(opened: _Opened, name: str, settings: dict[str, str]) -> ComparedRun:
    summary, report = opened.run.summary, opened.report
    promised = summary.privacy.leading if summary.privacy else None
    return ComparedRun(
        name=name,
        status=summary.status,
        settings=settings,
        mean=summary.mean.federated or {},
        rounds=summary.rounds,
        seconds=summary.seconds,
        bytes_up=summary.bytes_up,
        epsilon=promised.epsilon if promised else None,
        epsilon_for=_hidden(promised) if promised else "",
        audit_verdict=", ".join(report.headline) if report else None,
        audit_stale=opened.stale,
        audit={section_label(section): str(section.verdict) for section in report.sections} if report else {},
    )


def _hidden(promised: Guarantee) -> str:
    how = "replaced" if promised.relation == "replace" else "added or removed"
    return f"one {promised.unit} {how}, delta {promised.delta:g}"


def _beside(compared: ComparedRun, opened: _Opened, first: _Opened) -> ComparedRun:
    compared = compared.model_copy(update=_audits(opened, first))
    if opened.context is None or first.context is None:
        note = f"not tested again: {opened.why or first.why}"
    else:
        note = why_unpaired(opened.context, first.context)
        if not note:
            differences = paired_differences(opened.context, first.context)
            return compared.model_copy(update={"differences": differences, "paired": True})
    plain = {
        metric: MetricDifference(mean=_unpaired(estimate, theirs), outcome=compare(estimate, theirs, metric))
        for metric, estimate in compared.mean.items()
        if (theirs := (first.run.summary.mean.federated or {}).get(metric)) is not None
    }
    return compared.model_copy(update={"differences": plain, "note": note})


def _audits(opened: _Opened, first: _Opened) -> dict[str, Any]:
    """What the two audits say of each other; nothing where one of them is missing."""
    if opened.report is None or first.report is None:
        return {}
    reasons = unlike(opened.report, first.report, opened.stale, first.stale)
    return {"unlike": reasons, "changes": tuple(changes(opened.report, first.report, reasons))}


def _unpaired(ours: Estimate, theirs: Estimate) -> Estimate:
    """Difference of two means, without an interval: whether the images are independent is not known."""
    if ours.value is None or theirs.value is None:
        return Estimate(value=None, low=None, high=None, n=0)
    return Estimate(value=ours.value - theirs.value, low=None, high=None, n=min(ours.n, theirs.n))


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
