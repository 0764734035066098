"""``model-card.md``: what the audit knows of a model, on two pages of Markdown for whoever decides about its use.

The headings follow Mitchell et al. 2019, "Model cards for model reporting" (FAT* '19), as far as an audit can fill
them; what only people can know is left as "not given".
"""

import re
from collections.abc import Iterator, Sequence

from medfed.audit.results import AuditReport, Cell, SectionResult, Table
from medfed.audit.verdicts import Verdict
from medfed.report.audit_text import bound, figure
from medfed.report.text import interval, number, short
from medfed.results import Estimate

_NOT_GIVEN = "not given"
_CELL = 160
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#+|~&$])")
"""What Markdown or HTML inside it could take for a mark."""


def model_card(report: AuditReport) -> str:
    """The card as Markdown; the same report gives the same bytes."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: AuditReport) -> Iterator[str]:
    sections = {section.name: section for section in report.sections}
    identity, performance = sections.get("identity"), sections.get("performance")
    yield f"# {_text(report.run.name)}"
    yield f"\nVerdict of the audit: **{', '.join(report.headline)}**. This card is written by a program from"
    yield "`report.json`; it is evidence for a decision, not the decision, and the model is no medical device."
    yield "\n## Model\n"
    yield from _items(
        ("Task", f"{report.run.task}: {', '.join(report.run.classes)}"),
        ("Weights (SHA-256)", report.run.model_digest),
        ("Scenario (SHA-256)", report.run.scenario_digest),
    )
    yield from _tables(identity, start=0, stop=1)
    yield "\n## Intended use\n"
    stated = str(identity.settings.get("intended_use") or "") if identity else ""
    yield _text(stated, 2000) if stated else _NOT_GIVEN
    yield "\nWho may use it, on which patients, and what it must not be used for: " + (
        "as far as the sentence above says." if stated else f"{_NOT_GIVEN}."
    )
    yield "\n## Data\n"
    yield from _items(
        ("Sites", f"{len(report.run.sites)}: {', '.join(report.run.sites[:50])}"),
        ("Test images and labels (SHA-256)", report.run.data_digest),
    )
    yield from _tables(identity, start=1, stop=2)
    yield "\n## Performance\n"
    if performance is not None and performance.findings:
        yield from _findings(performance)
        yield from _tables(performance, start=0, stop=None)
    else:
        yield "Not measured in this audit."
    yield "\n## Verdicts\n"
    yield from _rows(
        ("Section", "Verdict", "What it means"), [(s.title or s.name, s.verdict, s.meaning) for s in report.sections]
    )
    for section in report.sections:
        if section is not performance and section is not identity and section.findings:
            yield f"\n### {_text(section.title or section.name)}\n"
            yield from _findings(section)
    yield "\n## Limits\n"
    yield from _limits(report)
    yield "\n## Before use\n"
    remedies = dict.fromkeys(s.remedy for s in report.sections if s.remedy and s.verdict is not Verdict.NOT_TESTED)
    yield from (f"- {_text(remedy, 600)}" for remedy in remedies)


def _limits(report: AuditReport) -> Iterator[str]:
    yield "- Figures are of the images named above, at these hospitals and that time; elsewhere it may do worse."
    for section in report.sections:
        yield from (
            f"- {_text(section.title or section.name)}: not tested: {_text(r, 600)}" for r in section.not_tested
        )
    yield from (f"- {_text(part.title)}: not tested: {_text(part.reason, 300)}" for part in report.missing)


def _tables(section: SectionResult | None, start: int, stop: int | None) -> Iterator[str]:
    for table in section.tables[start:stop] if section else ():
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield f"\n{_text(table.title)}:\n"
    yield from _rows(table.columns, table.rows)


def _findings(section: SectionResult) -> Iterator[str]:
    """A row per figure: what it comes to by itself, and its section, for a PASS in one that is INVALID means nothing.

    A figure of all there are has no interval (:func:`medfed.report.audit_text.figure`).
    """
    drawn = any(finding.kind != "census" for finding in section.findings)
    columns = ("What", "Value (95 % interval)" if drawn else "Value", "n", "Threshold", "By itself", "The section")
    rows = [(f.what, figure(f), f.estimate.n, bound(f), f.verdict, section.verdict) for f in section.findings]
    yield from _rows(columns, rows)


def _rows(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    yield f"| {' | '.join(map(_text, columns))} |"
    yield f"|{'---|' * len(columns)}"
    yield from (f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _items(*pairs: tuple[str, str]) -> Iterator[str]:
    yield from (f"- {what}: {_text(value, 2000)}" for what, value in pairs)


def _cell(value: Cell) -> str:
    if isinstance(value, Estimate):
        ends = interval(value)
        return f"{number(value.value)} ({ends})" if ends else number(value.value)
    if value is None or isinstance(value, float):
        return number(value)
    return _text(str(value))


def _text(text: str, length: int = _CELL) -> str:
    """Text in which nothing is a mark of Markdown or HTML, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(short(text, length).split()))
