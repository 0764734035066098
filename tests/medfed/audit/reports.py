"""Audit reports for the tests of the page: one with every kind of part, and one whose every word is hostile."""

from pathlib import Path
from typing import Any

from medfed.audit.results import (
    AuditReport,
    Budget,
    Check,
    Fault,
    Finding,
    Missing,
    PositiveControl,
    Reduced,
    RunIdentity,
    SectionResult,
    Table,
    share,
)
from medfed.report.audit_page import render_audit
from medfed.results import Estimate

HOSTILE = (
    "<script>alert(1)</script>",
    "x" * 10_000,
    "\N{HOSPITAL} \N{GRINNING FACE} St. Élise",
    '" onload="alert(1)',
    "--><svg/onload=alert(1)>",
    "{{ 7 * 7 }} \u202eright to left \x00\ud800",
    "",
)


def section_of(right: int, n: int, **fields: Any) -> SectionResult:
    """One finding: ``right`` of ``n``, where a half is asked."""
    finding = Finding(what="right", estimate=share(right, n), threshold=0.5, kind="share")
    return SectionResult(**{"name": "s", "title": "S", "findings": (finding,), **fields})


def report_of(*sections: SectionResult, name: str = "run", **fields: Any) -> AuditReport:
    """Of a run with one site."""
    digests = {"model_digest": "a" * 64, "data_digest": "b" * 64, "scenario_digest": "c" * 64}
    run = RunIdentity(name=name, task="classification", classes=("a", "b"), sites=("x",), **digests)
    return AuditReport(run=run, seed=1, sections=sections, **fields)


def audit_report() -> AuditReport:
    """Every verdict, and every part that a section may have."""
    said = {"tried": "Tried.", "meaning": "Meant for patients.", "remedy": "Do this next."}
    control = PositiveControl(description="Where it must work.", metric="found", expected=0.9, observed=1.0)
    table = Table(
        title="By site",
        columns=("Site", "Value", "In words"),
        rows=(("north", share(8, 10), "eight"), ("south", None, "none"), ("sum", 3, "three")),
    )
    full = section_of(95, 100, name="a", title="Passes", positive_control=control, tables=(table, table), **said)
    open_ended = section_of(5, 10, name="b", title="Undecided", settings={"images": 5}, not_tested=("this",), **said)
    return report_of(
        full,
        open_ended,
        section_of(1, 100, name="c", title="Fails", **said),
        section_of(
            9, 10, name="d", title="Invalid", checks=(Check(what="holds", holds=False, observed="not"),), **said
        ),
        SectionResult(name="e", title="Broken", error=Fault(error="Error: broke", traceback=("a.py, line 1",))),
        SectionResult(name="f", title="Silent", not_tested=("the whole section: why",)),
        command="medfed audit run --seed 1 --budget 600s",
        budget=Budget(
            seconds=600.0,
            planned_seconds=590.0,
            reduced=(Reduced(section="b", setting="images", used=5, full=100),),
        ),
        missing=(Missing(name="shortcuts", title="Right for the wrong reason", reason="not part of this version"),),
    )


def hostile_report() -> AuditReport:
    """A section for each text of HOSTILE, wherever a text may stand."""
    undefined = Estimate(value=None, low=None, high=None, n=0)
    sections = [
        section_of(
            3,
            7,
            name=text,
            title=text,
            tried=text,
            meaning=text,
            remedy=text,
            settings={text: text, "list": [1, 2]},
            checks=(Check(what=text, holds=False, observed=text),),
            positive_control=PositiveControl(description=text, metric=text, expected=1.0, observed=None),
            tables=(
                Table(title=text, columns=(text, "n", text), rows=((text, 1, text), (3, undefined, None))),
                Table(title="none", columns=("a",), rows=()),
                Table(title="sites", columns=("site", "x"), rows=tuple((f"{text}{i}", 0.5) for i in range(45))),
            ),
            not_tested=(text,),
            error=Fault(error=text, traceback=(text, text)) if position % 2 else None,
        )
        for position, text in enumerate(HOSTILE)
    ]
    cuts = tuple(Reduced(section=text, setting=text, used=text, full=text) for text in HOSTILE)
    return report_of(
        *sections,
        name=HOSTILE[0],
        missing=(Missing(name=HOSTILE[0], title=HOSTILE[0], reason=HOSTILE[4]),),
        command=HOSTILE[4],
        budget=Budget(seconds=1.0, planned_seconds=1.0, reduced=cuts),
    )


def written(report: AuditReport, folder: Path) -> Path:
    """The page of a report as a file."""
    path = folder / "report.html"
    path.write_text(render_audit(report), encoding="utf-8", errors="replace")
    return path
