"""The page of an audit: one HTML file that needs no network, no script and no other file."""

from collections.abc import Sequence
from typing import Any

from medfed.audit.results import AuditReport, Finding, SectionResult
from medfed.audit.verdicts import Verdict
from medfed.report import text
from medfed.report.rendering import Functions, render_page
from medfed.results import Estimate

ANSWERS = {
    Verdict.ERROR: "A part of the audit broke, so the whole is undecided.",
    Verdict.INVALID: "A measurement cannot be trusted, so the audit decides nothing.",
    Verdict.FAIL: "The model misses at least one threshold.",
    Verdict.INCONCLUSIVE: "The evidence does not decide.",
    Verdict.PASS: "Every threshold that was tested is met.",
    Verdict.NOT_TESTED: "Nothing was tested.",
}

WORDS = {
    Verdict.ERROR: "broke: it measured nothing",
    Verdict.INVALID: "cannot be trusted: a check of the measurement itself failed",
    Verdict.FAIL: "the whole 95 % interval misses the threshold",
    Verdict.INCONCLUSIVE: "the 95 % interval holds the threshold, or the attack was too weak to tell",
    Verdict.PASS: "the whole 95 % interval meets the threshold",
    Verdict.NOT_TESTED: "not measured; it does not count",
}

_CALM = (Verdict.PASS, Verdict.NOT_TESTED)


def render_audit(report: AuditReport) -> str:
    """The page as text; the same report gives the same bytes."""
    values = {
        "report": report,
        "answer": ANSWERS[report.verdict],
        "sentences": sentences(report),
        "words": WORDS,
        "not_tested": Verdict.NOT_TESTED,
    }
    tests: Functions = {"estimate": lambda value: isinstance(value, Estimate), "worded": worded}
    filters: Functions = {"deciding": deciding, "bound": bound}
    return render_page("audit.html.j2", values, filters, tests)


def sentences(report: AuditReport) -> list[str]:
    """What was tried, what came of it, what it means, what to do, what was left out."""
    tested = [section for section in report.sections if section.verdict is not Verdict.NOT_TESTED]
    tried = f"{len(tested)} of {len(report.sections) + len(report.missing)} sections of a full audit gave a verdict"
    found = [f"{tried}: {text.listing([_title(section) for section in tested], 12)}." if tested else f"{tried}."]
    worst = next((s for s in reversed(tested) if s.verdict is report.verdict), None)
    if worst is not None:
        found += [part for part in (_came_out(tested, worst), worst.meaning, worst.remedy) if part]
    silent = [*(s for s in report.sections if s.verdict is Verdict.NOT_TESTED), *report.missing]
    if silent:
        found.append(f"Nothing is said about: {text.listing([_title(part) for part in silent], 12)}.")
    return found


def _title(part: Any) -> str:
    return text.short(part.title or part.name, 60)


def _came_out(tested: Sequence[SectionResult], worst: SectionResult) -> str:
    if worst.verdict in _CALM:
        return "In each of them the whole 95 % interval meets the threshold."
    alike = [_title(section) for section in tested if section.verdict is worst.verdict]
    return f"{text.listing(alike)}: {worst.verdict}, {WORDS[worst.verdict]}."


def worded(rows: Sequence[Sequence[Any]], column: int) -> bool:
    """Whether a column of a table has text in it, and is set like text."""
    return column == 0 or any(isinstance(row[column], str) for row in rows)


def bound(finding: Finding) -> str:
    """The threshold with its direction."""
    words = {"at_least": "at least", "at_most": "at most"}
    return f"{words[finding.direction]} {finding.threshold:g}"


def deciding(finding: Finding) -> str:
    """How many units would decide, for a finding that is open; else empty."""
    if finding.verdict is not Verdict.INCONCLUSIVE or finding.kind == "census":
        return ""
    if finding.n_to_decide is None:
        return "no number of images would decide it at this value"
    about = "" if finding.kind == "share" else "about "
    return f"{about}n = {finding.n_to_decide} would decide it, if the value stayed"
