"""The audits of two runs beside each other: which findings may be compared, and why the others may not.

A finding of one audit is set beside that of another only where both measured the same thing in the same way: on the
same test data, with the same settings of the section, of the models that the runs have now, and with a verdict and a
positive control that let the figures speak. Otherwise nothing is said of a change.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError

from medfed.audit.digests import scenario_digest, weights_digest
from medfed.audit.opening import FOLDER
from medfed.audit.results import AuditReport, Finding, RunIdentity, SectionResult
from medfed.audit.verdicts import Verdict
from medfed.compare.results import FindingChange
from medfed.config import load_scenario
from medfed.errors import MedfedError
from medfed.params import load_weights
from medfed.report.comparison import Difference
from medfed.report.text import listing, short

_MUTE = (Verdict.ERROR, Verdict.INVALID, Verdict.NOT_TESTED)


def read_report(folder: Path) -> AuditReport | None:
    """The last audit of a run; None where there is none that can be read."""
    try:
        return AuditReport.model_validate_json((folder / FOLDER / "report.json").read_bytes())
    except (OSError, ValidationError):
        return None


def section_label(section: SectionResult) -> str:
    """What a comparison calls a section."""
    return section.title or section.name


def stale(report: AuditReport, folder: Path, now: RunIdentity | None) -> str:
    """In what ``report`` is not of the run in ``folder`` as it is; empty where it is, so far as is known.

    Args:
        report: the audit.
        folder: of the run.
        now: what the run is; None where its data are not opened, so that its weights and scenario alone are looked at.
    """
    then = report.run
    pairs = {
        "another model": (then.model_digest, now.model_digest if now else _model_now(folder)),
        "another scenario": (then.scenario_digest, now.scenario_digest if now else _scenario_now(folder)),
        "other test data": (then.data_digest, now.data_digest if now else None),
    }
    return listing([what for what, (before, today) in pairs.items() if today not in (None, before)])


def _model_now(folder: Path) -> str | None:
    try:
        return weights_digest(load_weights(folder / "model.safetensors"))
    except (OSError, SafetensorError):
        return None


def _scenario_now(folder: Path) -> str | None:
    try:
        return scenario_digest(load_scenario(folder / "scenario.toml"))
    except MedfedError:
        return None


def unlike(ours: AuditReport, theirs: AuditReport, our_stale: str = "", their_stale: str = "") -> dict[str, str]:
    """Sections that both audits have and that must not be compared -> why, by :func:`section_label`."""
    before = {section.name: section for section in theirs.sections}
    whole = _whole(ours, theirs, our_stale, their_stale)
    pairs = ((section, before[section.name]) for section in ours.sections if section.name in before)
    reasons = {section_label(mine): whole or _why(mine, other) for mine, other in pairs}
    return {name: reason for name, reason in reasons.items() if reason}


def _whole(ours: AuditReport, theirs: AuditReport, our_stale: str, their_stale: str) -> str:
    if our_stale or their_stale:
        whose = "this run" if our_stale else "the reference"
        return f"the audit of {whose} is of {our_stale or their_stale} than it has now"
    if ours.version != theirs.version:
        return "the audits are by different versions of medfed"
    if ours.run.data_digest != theirs.run.data_digest:
        return "the audits are of different test data"
    return "the audits are of different classes" if ours.run.classes != theirs.run.classes else ""


def _why(ours: SectionResult, theirs: SectionResult) -> str:
    keys = sorted(ours.settings.keys() | theirs.settings.keys())
    different = [key for key in keys if ours.settings.get(key) != theirs.settings.get(key)]
    if different:
        return f"different settings: {listing([_settings(key, ours, theirs) for key in different], 3)}"
    for whose, section in (("here", ours), ("in the reference", theirs)):
        if section.verdict in _MUTE:
            return f"{section.verdict.replace('_', ' ')} {whose}"
        if section.positive_control is not None and not section.positive_control.holds:
            return f"the positive control did not hold {whose}"
    return ""


def _settings(key: str, ours: SectionResult, theirs: SectionResult) -> str:
    mine, other = (short(repr(section.settings.get(key)), 40) for section in (ours, theirs))
    return f"{key} = {mine} (reference: {other})"


def changes(ours: AuditReport, theirs: AuditReport, not_alike: dict[str, str]) -> Iterator[FindingChange]:
    """Findings that both audits have, with which way they differ, or why nothing is said of it."""
    before = {(section.name, f.what): f for section in theirs.sections for f in section.findings}
    for section in ours.sections:
        for finding in section.findings:
            other = before.get((section.name, finding.what))
            if other is not None:
                yield _change(section_label(section), finding, other, not_alike.get(section_label(section), ""))


def _change(section: str, ours: Finding, theirs: Finding, note: str) -> FindingChange:
    outcome, why = (Difference.UNKNOWN, note) if note else _compared(ours, theirs)
    return FindingChange(
        section=section,
        what=ours.what,
        reference=theirs.estimate,
        ours=ours.estimate,
        outcome=outcome,
        census="census" in (ours.kind, theirs.kind),
        note=why,
    )


def _compared(ours: Finding, theirs: Finding) -> tuple[Difference, str]:
    """By intervals that do not overlap, as on a run's page; and why that cannot be."""
    mine, other = ours.estimate, theirs.estimate
    if "census" in (ours.kind, theirs.kind):
        return Difference.UNKNOWN, "a count of all there are has no interval, so that chance is not known"
    if mine.low is None or mine.high is None or other.low is None or other.high is None:
        return Difference.UNKNOWN, "one of the two figures has no interval"
    if mine.low <= other.high and other.low <= mine.high:
        return Difference.UNCLEAR, ""
    return Difference.BETTER if (mine.low > other.high) == (ours.direction == "at_least") else Difference.WORSE, ""
