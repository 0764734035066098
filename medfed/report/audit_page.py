"""The page of an audit: one HTML file that needs no network, no script and no other file."""

from collections.abc import Sequence
from typing import Any

from medfed.audit.results import AuditReport, Finding, SectionResult
from medfed.audit.verdicts import Verdict
from medfed.audit.verdicts import worst as worst_of
from medfed.report import text
from medfed.report.evidence import evidence_map
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
_COUNTED = 1000
"""Of a census of fewer, how many of how many says more than a share."""


def render_audit(report: AuditReport) -> str:
    """The page as text; the same report gives the same bytes."""
    values = {
        "report": report,
        "answer": ANSWERS[report.verdict],
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
        "named": _title,
        "stated": stated,
    }
    return render_page("audit.html.j2", values, filters, tests)


def sentences(report: AuditReport) -> list[tuple[str, str]]:
    """Five at most, each with what it answers: tried, found, what it means for patients, what next, what is open."""
    tested = [section for section in report.sections if section.verdict is not Verdict.NOT_TESTED]
    tried = f"{len(tested)} of {len(report.sections) + len(report.missing)} sections of a full audit gave a verdict"
    said = [
        ("Tried", f"{tried}: {text.listing([_title(section) for section in tested], 12)}." if tested else f"{tried}.")
    ]
    decisive = [section for section in tested if section.verdict is report.verdict]
    worst = decisive[-1 if report.verdict in _CALM else 0] if decisive else None
    if worst is not None:
        said += [("Found", _came_out(tested, worst)), ("For patients", worst.meaning), ("Next", worst.remedy)]
    silent = [*(s for s in report.sections if s.verdict is Verdict.NOT_TESTED), *report.missing]
    if silent:
        said.append(("Not tested", f"Nothing is said about: {text.listing([_title(part) for part in silent], 12)}."))
    return [(lead, sentence) for lead, sentence in said if sentence]


def planned(report: AuditReport) -> str:
    """What the time budget did, in words; empty where none was planned with."""
    budget = report.budget
    if budget is None:
        return ""
    needed = f"about {text.duration(budget.planned_seconds)} of one core of a current server, by counting"
    if budget.seconds is None:
        return f"Planned without a limit: {needed}."
    said = f"The audit was planned for {text.duration(budget.seconds)} (--budget) and needs {needed}."
    cheaper = [_title(section) for section in report.sections if cut(report, section)]
    if cheaper:
        said += f" To fit, less was done in: {text.listing(cheaper, 12)}; each says there what."
    out = [_title(part) for part in report.missing if "budget" in part.reason]
    return f"{said} Left out for it: {text.listing(out, 12)}." if out else said


def cut(report: AuditReport, section: SectionResult) -> str:
    """The settings of a section that the budget made cheaper, in words."""
    reduced = report.budget.reduced if report.budget else ()
    found = (each for each in reduced if each.section == section.name)
    return ", ".join(f"{each.setting} = {each.used} ({each.full} without the budget)" for each in found)


def _title(part: Any) -> str:
    """What a section is called; a link needs a word."""
    return text.short(part.title or part.name, 60) or "(no name)"


def _came_out(tested: Sequence[SectionResult], worst: SectionResult) -> str:
    if worst.verdict in _CALM:
        return f"In each of them the whole 95 % interval meets the threshold. {_figure(worst)}".strip()
    alike = [_title(section) for section in tested if section.verdict is worst.verdict]
    return f"{text.listing(alike)}: {worst.verdict}. {_figure(worst) or WORDS[worst.verdict].capitalize() + '.'}"


def _figure(section: SectionResult) -> str:
    """The figure that decides, in words; empty where there is none."""
    finding = leading(section)
    if finding is None or finding.estimate.value is None:
        return ""
    ends = "" if finding.kind == "census" else text.interval(finding.estimate)
    return f"{text.short(finding.what, 120)}: {stated(finding)}{f' ({ends})' if ends else ''}, {bound(finding)} asked."


def stated(finding: Finding) -> str:
    """The value; of a census that counts few, how many of how many."""
    e = finding.estimate
    if finding.kind == "census" and e.value is not None and e.n < _COUNTED:
        return f"{round(e.value * e.n)} of {e.n}"
    return text.number(e.value)


def leading(section: SectionResult) -> Finding | None:
    """The finding that decides: of those with the worst verdict, the one furthest on the wrong side.

    Where all pass, it is of those that ask the same as the first, which a section puts there as its main one.
    """
    if not section.findings or section.error is not None:
        return None
    verdict, first = worst_of(finding.verdict for finding in section.findings), section.findings[0]
    found = [finding for finding in section.findings if finding.verdict is verdict]
    if verdict is Verdict.PASS:
        found = [
            f for f in found if (f.threshold, f.direction, f.kind) == (first.threshold, first.direction, first.kind)
        ]
    return min(found, key=_margin)


def _margin(finding: Finding) -> float:
    """How far the value lies on the good side of its threshold."""
    value = finding.estimate.value
    if value is None:
        return 0.0
    return value - finding.threshold if finding.direction == "at_least" else finding.threshold - value


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
    alt = f"{text.number(e.value)}, 95 % interval {text.interval(e)}; {bound(finding)} asked"
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
