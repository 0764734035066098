"""The page of an audit: one HTML file that needs no network, no script and no other file."""

from collections.abc import Sequence
from typing import Any

from medfed.audit.results import AuditReport, Finding, SectionResult
from medfed.audit.verdicts import Verdict
from medfed.report import text
from medfed.report.audit_text import WORDS, answer, bound, cut, deciding, leading, planned, sentences, stated, title
from medfed.report.evidence import evidence_map
from medfed.report.rendering import Functions, render_page
from medfed.results import Estimate


def render_audit(report: AuditReport) -> str:
    """The page as text; the same report gives the same bytes."""
    values = {
        "report": report,
        "answer": answer(report),
        "sentences": sentences(report),
        "words": WORDS,
        "evidence": evidence_map(report),
        "planned": planned(report),
        "not_tested": Verdict.NOT_TESTED,
    }
    tests: Functions = {"estimate": lambda value: isinstance(value, Estimate), "worded": worded}
    filters: Functions = {
        "deciding": deciding,
        "bound": bound,
        "leading": leading,
        "gauge": gauge,
        "cut": lambda section: cut(report, section),
        "named": title,
        "stated": stated,
        "captioned": captioned,
    }
    return render_page("audit.html.j2", values, filters, tests)


def captioned(section: SectionResult) -> str:
    """What the table of findings shows; an interval is spoken of only where a figure has one.

    Where the section does not pass though a figure does, it says why.
    """
    counted = [finding.kind == "census" for finding in section.findings]
    but = " (a count of all there are has none)" if any(counted) else ""
    values = (
        "a count of all there are, so without an interval," if all(counted) else f"value with its 95 % interval{but},"
    )
    said = f"Findings: {values} and the threshold that decides."
    if section.verdict is Verdict.INVALID:
        return f"{said} A check of the measurement failed, so that none of them means anything."
    if section.positive_control is not None and not section.positive_control.holds:
        return f"{said} The positive control did not hold, so that a PASS decides nothing."
    return said


def gauge(finding: Finding) -> dict[str, Any] | None:
    """A finding on an axis from 0 to 100; None where it does not lie between 0 and 1.

    Returns:
        ``value``, ``low`` and ``high`` in per cent of the axis; ``mark``, the path of a bracket that opens to the good
        side of the threshold; ``alt``, all of it in words.
    """
    e = finding.estimate
    if (
        e.value is None
        or e.low is None
        or e.high is None
        or not all(0 <= x <= 1 for x in (e.low, e.high, finding.threshold))
    ):
        return None
    at, lip = 100 * finding.threshold, 4 if finding.direction == "at_least" else -4
    value = stated(finding) if finding.kind == "census" else f"{text.number(e.value)}, 95 % interval {text.interval(e)}"
    alt = f"{value}; {bound(finding)} asked"
    return {
        "value": f"{100 * e.value:.1f}",
        "low": f"{100 * e.low:.1f}",
        "high": f"{100 * e.high:.1f}",
        "mark": f"M{at + lip:.1f} 1H{at:.1f}V15H{at + lip:.1f}",
        "alt": alt,
    }


def worded(rows: Sequence[Sequence[Any]], column: int) -> bool:
    """Whether a column of a table has text in it, and is set like text."""
    return column == 0 or any(isinstance(row[column], str) for row in rows)
