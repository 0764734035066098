"""The page of an audit. Oracles: html.parser, byte equality, headless Chromium."""

import json
import math
from pathlib import Path

import pytest

from medfed.audit.results import (
    AuditReport,
    Fault,
    Finding,
    SectionResult,
    share,
)
from medfed.audit.run import audit
from medfed.audit.tables import ANNOUNCED
from medfed.report.audit_page import gauge, render_audit
from medfed.report.evidence import ITEMS, evidence_map
from medfed.results import Estimate
from tests.medfed.audit.reports import hostile_report, report_of, section_of, written
from tests.medfed.report.html_page import Page, assert_sound
from tests.medfed.report.test_browser import browser, look  # noqa: F401 - the fixture


def test_a_real_audit_is_sound_and_shows_what_it_found(small_run: Path):
    found = audit(small_run, sections=("identity", "performance"))
    page = Page(found.folder / "report.html")
    assert_sound(page)
    for text in ("<b>north", "south & co", found.report.run.model_digest, "Nothing is said about", "AUROC"):
        assert text in page.text
    assert "<b>north" not in (found.folder / "report.html").read_text()


def test_hostile_content_neither_breaks_nor_injects(tmp_path: Path):
    path = written(hostile_report(), tmp_path)
    page = Page(path)
    assert_sound(page)
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert path.stat().st_size < 1_000_000


def test_the_same_report_gives_the_same_bytes_and_json_carries_all_of_it(tmp_path: Path):
    report = report_of(section_of(9, 10), section_of(1, 10))
    read = AuditReport.model_validate_json(json.dumps(report.model_dump(mode="json")))
    assert render_audit(read) == render_audit(report)


def test_an_open_finding_names_the_n_that_would_decide(tmp_path: Path):
    report = report_of(section_of(55, 100))
    n = report.sections[0].findings[0].n_to_decide
    assert n > 100
    assert f"n = {n} would decide it, if the value stayed" in Page(written(report, tmp_path)).text


def test_an_audit_without_a_verdict_says_so(tmp_path: Path):
    page = Page(written(report_of(SectionResult(name="s", not_tested=("the whole section: why",))), tmp_path))
    assert "Nothing was tested." in page.text
    assert "the whole section: why" in page.text
    assert_sound(Page(written(report_of(), tmp_path)))


def test_a_figure_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        Estimate(value=math.nan, low=None, high=None, n=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_self_contained_and_fits(browser, tmp_path: Path, width: int, scheme: str):  # noqa: F811
    path = written(hostile_report(), tmp_path)
    seen = look(browser, path, width, scheme)
    assert [url for url in seen["requests"] if not url.startswith("data:")] == [path.as_uri()]
    assert seen["complaints"] == []
    assert seen["sizes"][0] <= seen["sizes"][1]


def test_a_bar_is_drawn_where_its_axis_reaches():
    inside = Finding(what="w", estimate=share(25, 100), threshold=0.5, direction="at_most", kind="share")
    drawn = gauge(inside)
    assert (drawn["value"], drawn["mark"]) == ("25.0", "M46.0 1H50.0V15H46.0")
    assert drawn["alt"].endswith("at most 0.5 asked")
    beyond = Estimate(value=2.0, low=1.5, high=2.5, n=9)
    assert gauge(Finding(what="w", estimate=beyond, threshold=0.5, kind="mean")) is None


def test_evidence_never_says_that_anything_is_met(tmp_path: Path):
    tested = section_of(9, 10, name="adversarial", title="Adversarial images")
    broken = SectionResult(name="poisoning", title="Poisoned sites", error=Fault(error="e", traceback=()))
    rows = {(row.item.source, row.item.asks): row for row in evidence_map(report_of(tested, broken))}
    evasion = rows["EU AI Act", "against adversarial examples and model evasion"]
    assert [(place, section.name) for place, section in evasion.evidence] == [(1, "adversarial")]
    assert rows["EU AI Act", "against data and model poisoning"].evidence == ()
    assert rows["EU AI Act", "against data and model poisoning"].absent == ("Poisoned sites",)
    text = Page(written(report_of(tested, broken), tmp_path)).text.lower()
    assert not any(word in text for word in ("complies", "compliant", "certified", "approved"))


def test_the_evidence_map_names_sections_that_are_announced():
    assert {name for item in ITEMS for name in item.sections} <= set(ANNOUNCED)


@pytest.mark.parametrize("width", [360, 1280])
def test_three_hundred_sites_fit(browser, tmp_path: Path, width: int):  # noqa: F811
    findings = tuple(
        Finding(what=f"AUROC, hospital {i} " + "long name " * 5, estimate=share(i % 7, 7), threshold=0.5, kind="share")
        for i in range(300)
    )
    path = written(report_of(SectionResult(name="s", title="S", findings=findings)), tmp_path)
    seen = look(browser, path, width, "light")
    assert seen["sizes"][0] <= seen["sizes"][1]
    assert path.stat().st_size < 1_000_000


def test_a_printed_page_has_no_cut_table(browser, tmp_path: Path):  # noqa: F811
    """What scrolls on a screen is wider than paper only if nothing wraps."""
    path = written(hostile_report(), tmp_path)
    page = browser.new_page(viewport={"width": 718, "height": 1000})  # 190 mm at 96 dots per inch
    page.emulate_media(media="print")
    page.goto(path.as_uri())
    cut = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.ariaLabel)"
    )
    hidden = page.evaluate(
        "[...document.querySelectorAll('details > :not(summary)')].filter(e => !e.offsetHeight).length"
    )
    page.close()
    assert cut == []
    assert hidden == 0
