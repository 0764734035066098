"""What the page says first, and of a figure. Oracles: sentences by hand."""

from pathlib import Path

import pytest

from medfed.audit.results import Check, Fault, Finding, Missing, PositiveControl, SectionResult, census, share
from medfed.report.audit_page import gauge
from medfed.report.audit_text import answer, leading, sentences
from tests.medfed.audit.reports import report_of, section_of, written
from tests.medfed.report.html_page import Page, assert_sound


def test_the_sentences_speak_of_the_worstsection():
    good = section_of(100, 100, title="Good", meaning="Fine.", remedy="Nothing.")
    bad = section_of(0, 100, title="Bad", meaning="Harm.", remedy="Mend it.")
    assert sentences(report_of(good, bad, missing=(Missing(name="m", title="Third", reason="r"),))) == [
        ("Tried", "2 of 3 sections of a full audit gave a verdict: Good and Bad."),
        ("Found", "Bad: FAIL. right: 0.000 (0.000\u20130.036), at least 0.5 asked."),
        ("For patients", "Harm."),
        ("Next", "Mend it."),
        ("Not tested", "Nothing is said about: Third."),
    ]


BROKEN = SectionResult(name="e", title="Torn", error=Fault(error="Error: broke", traceback=()))


def _invalid(**fields: str) -> SectionResult:
    checks = (Check(what="holds", holds=False, observed="not"),)
    return section_of(99, 100, name="i", title="Wrong", checks=checks, **fields)


def test_a_fail_is_never_behind_what_broke_or_cannot_be_trusted(tmp_path: Path):
    bad = section_of(0, 100, title="Bad", meaning="Harm.", remedy="Mend it.")
    report = report_of(BROKEN, _invalid(meaning="Nothing."), bad)
    assert report.verdict == "ERROR"  # for programs: the audit is not whole
    assert report.headline == ("FAIL", "ERROR", "INVALID")
    assert answer(report) == (
        "The model misses at least one threshold. Besides, a part of the audit broke and a measurement cannot be "
        "trusted."
    )
    said = dict(sentences(report))
    assert said["Found"] == (
        "Bad: FAIL. right: 0.000 (0.000\u20130.036), at least 0.5 asked. Torn: ERROR. Wrong: INVALID."
    )
    assert (said["For patients"], said["Next"]) == ("Harm.", "Mend it.")
    page = Page(written(report, tmp_path))
    assert_sound(page)
    first = page.text.partition("Sections")[0]
    assert all(word in first for word in ("FAIL", "ERROR", "INVALID", "misses at least one threshold"))


@pytest.mark.parametrize(
    ("sections", "headline", "words"),
    [
        ((BROKEN, section_of(99, 100)), ("ERROR",), "A part of the audit broke, so the whole is undecided."),
        ((_invalid(),), ("INVALID",), "A measurement cannot be trusted, so the audit decides nothing."),
        (
            (_invalid(), BROKEN),
            ("ERROR", "INVALID"),
            "A part of the audit broke, so the whole is undecided. Besides, a measurement cannot be trusted.",
        ),
        ((section_of(99, 100), section_of(5, 10)), ("INCONCLUSIVE",), "The evidence does not decide."),
    ],
)
def test_without_a_fail_the_worst_leads(sections: tuple[SectionResult, ...], headline: tuple[str, ...], words: str):
    assert report_of(*sections).headline == headline
    assert answer(report_of(*sections)) == words


def test_a_count_of_all_there_are_has_no_interval(tmp_path: Path):
    """Poisoning counts all sites of the run: no interval, no word of one, and how many of how many."""

    def page_of(*findings: Finding) -> str:
        return Page(written(report_of(SectionResult(name="s", title="S", findings=findings)), tmp_path)).text

    named = Finding(what="Sites named", estimate=census(1, 4), threshold=0.05, direction="at_most", kind="census")
    report = page_of(named).partition("What this is evidence for")[0]
    assert "1 of all 4" in report
    assert "0.250\u20130.250" not in report
    assert "95 %" not in report
    assert gauge(named)["alt"] == "1 of all 4; at most 0.05 asked"
    almost = Finding(what="finite", estimate=census(1_999_999, 2_000_000), threshold=1.0, kind="census")
    assert "1999999 of all 2000000" in page_of(almost)  # which a share would round to 1.000
    drawn = Finding(what="right", estimate=share(99, 100), threshold=0.5, kind="share")
    assert "95 % interval (a count of all there are has none)" in page_of(named, drawn)
    assert "value with its 95 % interval, and" in page_of(drawn)
    passed = report_of(
        SectionResult(findings=(Finding(what="f", estimate=census(9, 9), threshold=1.0, kind="census"),))
    )
    assert (
        dict(sentences(passed))["Found"] == "In each of them every threshold is met. f: 9 of all 9, at least 1 asked."
    )


def test_the_finding_that_decides_is_the_worst_and_of_those_the_furthest_off():
    def finding(what: str, right: int, direction: str = "at_least") -> Finding:
        return Finding(what=what, estimate=share(right, 100), threshold=0.5, direction=direction, kind="share")

    section = SectionResult(findings=(finding("good", 99), finding("bad", 20), finding("worse", 99, "at_most")))
    assert leading(section).what == "worse"
    assert leading(SectionResult()) is None


def test_where_all_pass_the_main_finding_leads_and_a_census_is_counted():
    sites = [Finding(what=f"site {n}", estimate=share(n, 100), threshold=0.5, kind="share") for n in (99, 90)]
    none = Finding(what="bad sites", estimate=census(0, 4), threshold=0.0, direction="at_most", kind="census")
    assert leading(SectionResult(findings=(*sites, none))).what == "site 90"
    some = Finding(what="bad sites", estimate=census(3, 4), threshold=0.0, direction="at_most", kind="census")
    section = SectionResult(name="s", title="S", findings=(*sites, some), meaning="Harm.")
    assert ("Found", "S: FAIL. bad sites: 3 of all 4, at most 0 asked.") in sentences(report_of(section))


def test_a_figure_decides_nothing_where_a_check_failed_or_the_control_did_not_hold(tmp_path: Path):
    assert leading(_invalid()) is None
    assert dict(sentences(report_of(_invalid())))["Found"] == (
        "Wrong: INVALID. Cannot be trusted: a check of the measurement itself failed."
    )
    assert "so that none of them means anything" in Page(written(report_of(_invalid()), tmp_path)).text
    weak = PositiveControl(description="d", metric="m", expected=0.9, observed=0.1)
    path = written(report_of(section_of(99, 100, positive_control=weak)), tmp_path)
    assert "so that a PASS decides nothing" in Page(path).text
    overview = path.read_text().partition('id="overview"')[2].partition("</table>")[0]
    assert 'class="range inconclusive"' in overview  # not the green of a figure that passes by itself
    assert 'class="range pass"' not in overview


def test_of_several_bad_sections_the_first_is_told():
    one, two = (section_of(0, 100, title=title, meaning=f"{title}.") for title in ("One", "Two"))
    assert ("For patients", "One.") in sentences(report_of(one, two))
