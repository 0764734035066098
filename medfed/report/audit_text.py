"""The words of an audit: what its page and its model card say of a report, and of one finding."""

from collections.abc import Sequence
from typing import Any

from medfed.audit.results import AuditReport, Finding, SectionResult
from medfed.audit.verdicts import Verdict
from medfed.audit.verdicts import worst as worst_of
from medfed.report import text
from medfed.results import Estimate

_ANSWERS = {
    Verdict.ERROR: "A part of the audit broke, so the whole is undecided.",
    Verdict.INVALID: "A measurement cannot be trusted, so the audit decides nothing.",
    Verdict.FAIL: "The model misses at least one threshold.",
    Verdict.INCONCLUSIVE: "The evidence does not decide.",
    Verdict.PASS: "Every threshold that was tested is met.",
    Verdict.NOT_TESTED: "Nothing was tested.",
}

_BESIDES = {
    Verdict.ERROR: "a part of the audit broke",
    Verdict.INVALID: "a measurement cannot be trusted",
}

WORDS = {
    Verdict.ERROR: "broke: it measured nothing",
    Verdict.INVALID: "cannot be trusted: a check of the measurement itself failed",
    Verdict.FAIL: "the whole 95 % interval misses the threshold; a count of all there are misses it by itself",
    Verdict.INCONCLUSIVE: "the 95 % interval holds the threshold, or the attack was too weak to tell",
    Verdict.PASS: "the whole 95 % interval meets the threshold; a count of all there are meets it by itself",
    Verdict.NOT_TESTED: "not measured; it does not count",
}

_CALM = (Verdict.PASS, Verdict.NOT_TESTED)


def answer(report: AuditReport) -> str:
    """The whole in a sentence: a FAIL first where there is one, and what broke or cannot be trusted beside it."""
    first, *others = report.headline
    besides = f" Besides, {text.listing([_BESIDES[verdict] for verdict in others])}." if others else ""
    return _ANSWERS[first] + besides


def sentences(report: AuditReport) -> list[tuple[str, str]]:
    """Five at most, each with what it answers: tried, found, what it means for patients, what next, what is open."""
    tested = [section for section in report.sections if section.verdict is not Verdict.NOT_TESTED]
    tried = f"{len(tested)} of {len(report.sections) + len(report.missing)} sections of a full audit gave a verdict"
    said = [
        ("Tried", f"{tried}: {text.listing([title(section) for section in tested], 12)}." if tested else f"{tried}.")
    ]
    first, *others = report.headline
    decisive = [section for section in tested if section.verdict is first]
    if decisive:
        worst = decisive[-1 if first in _CALM else 0]
        besides = "".join(f" {_alike(tested, verdict)}" for verdict in others)
        said += [("Found", _came_out(tested, worst) + besides), ("For patients", worst.meaning), ("Next", worst.remedy)]
    silent = [*(s for s in report.sections if s.verdict is Verdict.NOT_TESTED), *report.missing]
    if silent:
        said.append(("Not tested", f"Nothing is said about: {text.listing([title(part) for part in silent], 12)}."))
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
    cheaper = [title(section) for section in report.sections if cut(report, section)]
    if cheaper:
        said += f" To fit, less was done in: {text.listing(cheaper, 12)}; each says there what."
    out = [title(part) for part in report.missing if part.by_budget]
    return f"{said} Left out for it: {text.listing(out, 12)}." if out else said


def cut(report: AuditReport, section: SectionResult) -> str:
    """The settings of a section that the budget made cheaper, in words."""
    reduced = report.budget.reduced if report.budget else ()
    found = (each for each in reduced if each.section == section.name)
    return ", ".join(f"{each.setting} = {each.used} ({each.full} without the budget)" for each in found)


def title(part: Any) -> str:
    """What a section is called; a link needs a word."""
    return text.short(part.title or part.name, 60) or "(no name)"


def _came_out(tested: Sequence[SectionResult], worst: SectionResult) -> str:
    if worst.verdict in _CALM:
        drawn = any(finding.kind != "census" for section in tested for finding in section.findings)
        what = "every threshold is met" + (", by the whole 95 % interval where there is one" if drawn else "")
        return f"In each of them {what}. {_figure(worst)}".strip()
    return f"{_alike(tested, worst.verdict)} {_figure(worst) or WORDS[worst.verdict].capitalize() + '.'}"


def _alike(tested: Sequence[SectionResult], verdict: Verdict) -> str:
    return f"{text.listing([title(section) for section in tested if section.verdict is verdict])}: {verdict}."


def _figure(section: SectionResult) -> str:
    """The figure that decides, in words; empty where there is none."""
    finding = leading(section)
    if finding is None or finding.estimate.value is None:
        return ""
    return f"{text.short(finding.what, 120)}: {figure(finding)}, {bound(finding)} asked."


def figure(finding: Finding) -> str:
    """The value with its 95 % interval, where it has one; a census is a count of all there are, and has none."""
    ends = "" if finding.kind == "census" else text.interval(finding.estimate)
    return f"{stated(finding)} ({ends})" if ends else stated(finding)


def stated(finding: Finding) -> str:
    """The value, of a census as :func:`counted` has it."""
    return counted(finding.estimate) if finding.kind == "census" else text.number(finding.estimate.value)


def counted(estimate: Estimate) -> str:
    """A census: how many of all there are; a rounded share would hide one of many."""
    if estimate.value is None:
        return text.number(None)
    return f"{round(estimate.value * estimate.n)} of all {estimate.n}"


def leading(section: SectionResult) -> Finding | None:
    """The finding that decides: of those with the worst verdict, the one furthest on the wrong side.

    Where all pass, it is of those that ask the same as the first, which a section puts there as its main one. None
    decides where the section broke or cannot be trusted.
    """
    if not section.findings or section.verdict in (Verdict.ERROR, Verdict.INVALID):
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


def bound(finding: Finding) -> str:
    """The threshold with its direction."""
    words = {"at_least": "at least", "at_most": "at most"}
    return f"{words[finding.direction]} {finding.threshold:g}"


def deciding(finding: Finding) -> str:
    """How many units would decide, for a finding that is open; else empty."""
    if finding.verdict is not Verdict.INCONCLUSIVE or finding.kind == "census":
        return ""
    if finding.estimate.low is None:
        return "without an interval nothing is decided"
    if finding.n_to_decide is None:
        return "no number of images would decide it at this value"
    about = "" if finding.kind == "share" else "about "
    return f"{about}n = {finding.n_to_decide} would decide it, if the value stayed"
