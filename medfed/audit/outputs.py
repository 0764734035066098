"""The files of an audit, all but the PDF: report as JSON and page, model card, JUnit, single images, timing."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from medfed.audit.kept import KeptSection
from medfed.audit.model_card import model_card
from medfed.audit.results import AuditReport, SectionResult
from medfed.audit.verdicts import Verdict
from medfed.files import write_text_atomic
from medfed.report.audit_page import render_audit
from medfed.report.audit_text import figure
from medfed.report.text import number
from medfed.results import write_json

_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped (section 2.2)."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula at the start of a cell (OWASP, CSV Injection)."""


def write_outputs(folder: Path, report: AuditReport, kept: Sequence[KeptSection]) -> None:
    """Write every file; ``report.json`` last but the page, which is made from it.

    Raises:
        WriteError: one cannot be written.
    """
    write_text_atomic(folder / "timing.json", timing(kept))
    write_text_atomic(folder / "samples.csv", samples_csv(kept), errors="replace")
    write_text_atomic(folder / "junit.xml", junit(report), errors="replace")
    write_text_atomic(folder / "model-card.md", model_card(report), errors="replace")
    write_json(folder / "report.json", report)
    write_text_atomic(folder / "report.html", render_audit(report), errors="replace")


def timing(kept: Sequence[KeptSection]) -> str:
    """Section -> wall and processor seconds of when it was measured."""
    seconds = {k.result.name: {"seconds": round(k.seconds, 3), "cpu_seconds": round(k.cpu_seconds, 3)} for k in kept}
    return json.dumps(seconds, indent=2) + "\n"


def samples_csv(kept: Sequence[KeptSection]) -> str:
    """One line per measurement of an image; ``row`` is its record in the data file, counted from 1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("section", "site", "row", "measure", "value"))
    for each in kept:
        for s in each.samples:
            value = "" if s.value is None else repr(s.value)
            writer.writerow((_harmless(each.result.name), _harmless(s.site), s.row, _harmless(s.measure), value))
    return text.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


class _Case(NamedTuple):
    name: str
    verdict: Verdict
    message: str


def junit(report: AuditReport) -> str:
    """JUnit XML: a suite per section, a case per threshold, check and control, and one for the section as a whole.

    FAIL is a failure; ERROR and INVALID are errors; INCONCLUSIVE and NOT_TESTED are skipped, as neither passed. A
    section that the budget left out is NOT_TESTED.
    """
    root = ElementTree.Element("testsuites", name=_xml(f"medfed audit {report.run.name}"))
    for section in report.sections:
        _add_suite(root, section.name, list(_cases(section)))
    for part in report.missing:
        if part.by_budget:
            _add_suite(root, part.name, [_Case(_WHOLE, Verdict.NOT_TESTED, part.reason)])
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_suite(root: ElementTree.Element, name: str, cases: Sequence[_Case]) -> None:
    tags = [_TAGS.get(case.verdict) for case in cases]
    suite = ElementTree.SubElement(root, "testsuite", name=_xml(name), tests=str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(tags.count(tag)))
    for case, outcome in zip(cases, tags, strict=True):
        element = ElementTree.SubElement(suite, "testcase", classname=_xml(name), name=_xml(case.name))
        if outcome:
            ElementTree.SubElement(element, outcome, type=str(case.verdict), message=_xml(case.message))


_WHOLE = "the section"
_TAGS = {
    Verdict.FAIL: "failure",
    Verdict.ERROR: "error",
    Verdict.INVALID: "error",
    Verdict.INCONCLUSIVE: "skipped",
    Verdict.NOT_TESTED: "skipped",
}


def _cases(section: SectionResult) -> Iterator[_Case]:
    for finding in section.findings:
        bound = {"at_least": ">=", "at_most": "<="}[finding.direction]
        said = f"{figure(finding)}, n = {finding.estimate.n}"
        yield _Case(f"{finding.what} {bound} {finding.threshold:g}", finding.verdict, said)
    for check in section.checks:
        yield _Case(f"check: {check.what}", Verdict.PASS if check.holds else Verdict.INVALID, check.observed)
    control = section.positive_control
    if control is not None:
        message = f"{control.metric}: expected {control.expected:g}, observed {number(control.observed)}"
        held = Verdict.PASS if control.holds else Verdict.INCONCLUSIVE
        yield _Case(f"positive control: {control.description}", held, message)
    yield _Case(_WHOLE, section.verdict, section.error.error if section.error else "; ".join(section.not_tested))


def _xml(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
