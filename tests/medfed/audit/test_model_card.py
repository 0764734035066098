"""The model card. Oracles: markdown-it (a CommonMark parser), and the report that it is made from."""

from pathlib import Path

from markdown_it import MarkdownIt

from medfed.audit.model_card import model_card
from medfed.audit.results import Check, Fault, Finding, PositiveControl, SectionResult, census
from medfed.audit.run import audit
from tests.medfed.audit.reports import HOSTILE, hostile_report, report_of, section_of

HEADINGS = ["Model", "Intended use", "Data", "Performance", "Verdicts", "Limits", "Before use"]


def _headings(card: str, level: str) -> list[str]:
    tokens = MarkdownIt("commonmark").enable("table").parse(card)
    return [
        tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open" and token.tag == level
    ]


def test_it_says_what_the_report_says(small_run: Path):
    found = audit(
        small_run, overrides=('identity.intended_use="Triage, *never* alone"',), sections=("identity", "performance")
    )
    card = (found.folder / "model-card.md").read_text()
    assert card == model_card(found.report)
    assert _headings(card, "h2") == HEADINGS
    page = MarkdownIt("commonmark").enable("table").render(card)
    assert found.report.run.model_digest in page
    assert "Triage, *never* alone" in page
    assert "<em>" not in page
    for finding in found.report.sections[1].findings:
        assert f"{finding.estimate.value:.3f}" in page
        assert str(finding.verdict) in page


def test_what_nobody_gave_is_not_given(small_run: Path):
    card = (audit(small_run, sections=("performance",)).folder / "model-card.md").read_text()
    assert "## Intended use\n\nnot given\n" in card
    assert "Not measured in this audit." not in card
    assert "Not measured in this audit." in model_card(report_of())


def _rows(card: str, title: str) -> list[list[str]]:
    """Of the table below a heading."""
    body = card.partition(f"### {title}\n")[2].lstrip("\n").partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]


def test_a_row_carries_the_verdict_of_its_section():
    """A figure may pass where a check failed, a control did not hold, or another figure failed: the section decides."""
    weak = PositiveControl(description="Where it must work.", metric="found", expected=0.9, observed=0.1)
    broken = Check(what="holds", holds=False, observed="not")
    report = report_of(
        section_of(99, 100, name="a", title="Invalid", checks=(broken,)),
        section_of(99, 100, name="b", title="Weak", positive_control=weak),
        section_of(99, 100, name="c", title="Good"),
    )
    card = model_card(report)
    for title, verdict in (("Invalid", "INVALID"), ("Weak", "INCONCLUSIVE"), ("Good", "PASS")):
        header, _, row = _rows(card, title)
        assert header[-2:] == ["By itself", "The section"]
        assert row[-2:] == ["PASS", verdict]


def test_a_fail_stands_first_and_a_count_of_all_has_no_interval():
    finding = Finding(what="sites", estimate=census(1, 4), threshold=0.0, direction="at_most", kind="census")
    torn = SectionResult(name="t", title="Torn", error=Fault(error="e", traceback=()))
    card = model_card(report_of(torn, SectionResult(name="s", title="S", findings=(finding,))))
    assert "Verdict of the audit: **FAIL, ERROR**" in card
    header, _, row = _rows(card, "S")
    assert (header[1], row[1]) == ("Value", "1 of all 4")


def test_hostile_content_stays_text():
    card = model_card(hostile_report())
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(card)
    assert "<script" not in page
    assert "<svg" not in page
    assert "<img" not in page
    assert _headings(card, "h2") == HEADINGS
    assert len(card) < 1_000_000
    assert all(len(text) < 10_000 or text not in card for text in HOSTILE)
