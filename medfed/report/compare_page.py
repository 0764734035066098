"""The page of a comparison: one HTML file that needs no network, no script and no other file."""

from medfed.compare.results import ComparedRun, Comparison
from medfed.overrides import short_names
from medfed.report import text
from medfed.report.audit_text import counted
from medfed.report.comparison import Difference
from medfed.report.rendering import Functions, render_page
from medfed.report.sweep_text import signed
from medfed.results import Estimate

DIGITS = 4
"""Of a difference: paired figures show smaller ones than the three digits of a figure."""

_FILTERS: Functions = {"signed": signed, "counted": counted}


def render_comparison(found: Comparison) -> str:
    """The page as text; the same comparison gives the same bytes."""
    return render_page("compare.html.j2", _values(found), _FILTERS, {})


def _values(found: Comparison) -> dict[str, object]:
    others = found.runs[1:]
    names = text.labels(run.name for run in found.runs)
    keys = list(found.runs[0].settings)
    sections = list(dict.fromkeys(name for run in found.runs for name in run.audit))
    return {
        "found": found,
        "digits": DIGITS,
        "reference": found.runs[0],
        "others": others,
        "label": names,
        "sentences": sentences(found),
        "keys": dict(zip(keys, short_names(keys).values(), strict=True)) if keys else {},
        "metrics": text.in_order(metric for run in others for metric in run.differences),
        "sites": list(dict.fromkeys(site for run in others for site in _headline_sites(run, found.headline_metric))),
        "sections": sections,
        "changed": [(run, change) for run in others for change in run.changes],
        "private": any(run.epsilon is not None for run in found.runs),
    }


def _headline_sites(run: ComparedRun, metric: str) -> dict[str, Estimate]:
    return run.differences[metric].sites if metric in run.differences else {}


def sentences(found: Comparison) -> list[str]:
    """What is better or worse than the reference, one sentence per run, and what that rests on."""
    reference, metric = found.runs[0], text.metric_title(found.headline_metric)
    said = [_sentence(run, reference, found.headline_metric, metric) for run in found.runs[1:]]
    said += [
        f"The audit of {text.short(run.name)} is old: it is of {run.audit_stale} than the run has now."
        for run in found.runs
        if run.audit_stale
    ]
    audited = [run for run in found.runs[1:] if run.audit_verdict and reference.audit_verdict]
    return [*said, *filter(None, (_audits(run, reference) for run in audited))]


def _audits(run: ComparedRun, reference: ComparedRun) -> str:
    """How the verdicts of two audits differ, and how much of them must not be compared; empty where neither is so."""
    ours, theirs = text.short(run.name), text.short(reference.name)
    said = f"The audit says {run.audit_verdict} of {ours}, and {reference.audit_verdict} of {theirs}."
    both = run.audit.keys() & reference.audit.keys()
    if not run.unlike:
        return said if run.audit_verdict != reference.audit_verdict else ""
    why = text.listing(list(dict.fromkeys(run.unlike.values())), 3)
    return f"{said} {len(run.unlike)} of the {len(both)} sections of both are not alike, and not compared: {why}."


def _sentence(run: ComparedRun, reference: ComparedRun, key: str, metric: str) -> str:
    ours, theirs = text.short(run.name), text.short(reference.name)
    difference = run.differences.get(key)
    if difference is None or difference.mean.value is None or difference.outcome is Difference.UNKNOWN:
        return f"{ours} cannot be compared with {theirs} in {metric}{': ' + run.note if run.note else ''}."
    ends = text.interval(difference.mean, DIGITS)
    figures = f"{signed(difference.mean.value, DIGITS)}{f', 95 % interval {ends}' if ends else ''}"
    words = {
        Difference.BETTER: f"is better than {theirs}",
        Difference.WORSE: f"is worse than {theirs}",
        Difference.UNCLEAR: f"does not differ from {theirs} beyond chance",
    }
    rests = "on the same test images" if run.paired else f"by means and intervals only, as {run.note}"
    return f"{ours} {words[difference.outcome]} in {metric} ({figures}), {rests}."
