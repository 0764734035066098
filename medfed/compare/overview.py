"""All runs under a folder, a line each: what they are, how they ended, and what their audits said."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medfed import __version__
from medfed.audit.results import AuditReport
from medfed.compare.audits import read_report, stale
from medfed.errors import RunFolderError
from medfed.report.comparison import pick
from medfed.report.load import load_run
from medfed.report.text import listing
from medfed.results import Estimate

_DEPTH = 2
"""Folders below the one that is asked for: runs, and runs of a sweep."""


@dataclass(frozen=True)
class RunLine:
    """One run.

    Attributes:
        folder: below the folder that was asked for, with "/" between.
        name: of the run.
        started: day and time as the run recorded it; empty where it did not.
        state: how it ended; "not finished" without a summary, "damaged" with one that cannot be read.
        task: and the metric it is judged by; empty without a summary.
        metric: the headline's key.
        headline: mean over sites of the federated model.
        rounds: that were trained.
        num_sites: with figures.
        page: there is one.
        audit: verdict of its audit, a FAIL first where there is one; empty without one.
        audit_stale: in what the audit is not of the run as it is now, or not by this medfed; empty where it is both.
    """

    folder: str
    name: str
    started: str = ""
    state: str = "not finished"
    task: str = ""
    metric: str = ""
    headline: Estimate | None = None
    rounds: int = 0
    num_sites: int = 0
    page: bool = False
    audit: str = ""
    audit_stale: str = ""


def list_runs(root: Path) -> list[RunLine]:
    """The runs in ``root`` and in its folders' folders, by folder; a folder is a run's if it has a scenario.

    Raises:
        RunFolderError: there is no such folder.
    """
    if not root.is_dir():
        raise RunFolderError(f"{root}: no such folder; expected one that holds runs, such as runs")
    return [_line(root, folder) for folder in _folders(root, _DEPTH)]


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    for inner in sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink()):
        if (inner / "scenario.toml").is_file():
            yield inner
        elif depth > 1:
            yield from _folders(inner, depth - 1)


def _line(root: Path, folder: Path) -> RunLine:
    place = folder.relative_to(root).as_posix()
    if not (folder / "summary.json").exists():
        return RunLine(place, folder.name)
    try:
        run = load_run(folder)
    except RunFolderError:
        return RunLine(place, folder.name, state="damaged")
    summary, report = run.summary, read_report(folder)
    return RunLine(
        folder=place,
        name=summary.name,
        started=str(run.environment.get("started", ""))[:16].replace("T", " "),
        state=str(summary.status),
        task=summary.task,
        metric=summary.headline_metric,
        headline=pick(summary.mean.federated, summary.headline_metric),
        rounds=summary.rounds,
        num_sites=len(summary.sites),
        page=(folder / "report.html").is_file(),
        audit=", ".join(report.headline) if report else "",
        audit_stale=_stale(report, folder) if report else "",
    )


def _stale(report: AuditReport, folder: Path) -> str:
    """The test data are not looked at: to open those of every run takes too long for a list."""
    version = "" if report.version == __version__ else f"another medfed ({report.version or 'not stated'})"
    return listing([what for what in (stale(report, folder, None), version) if what])
