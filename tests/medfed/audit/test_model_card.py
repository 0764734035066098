"""The model card. Oracles: markdown-it (a CommonMark parser), and the report that it is made from."""

from pathlib import Path

from markdown_it import MarkdownIt

from medfed.audit.model_card import model_card
from medfed.audit.run import audit
from tests.medfed.audit.reports import HOSTILE, hostile_report, report_of

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


def test_hostile_content_stays_text():
    card = model_card(hostile_report())
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(card)
    assert "<script" not in page
    assert "<svg" not in page
    assert "<img" not in page
    assert _headings(card, "h2") == HEADINGS
    assert len(card) < 1_000_000
    assert all(len(text) < 10_000 or text not in card for text in HOSTILE)
