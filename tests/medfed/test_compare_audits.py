"""Audits beside each other. Oracles: what was made unlike, and figures by hand."""

from pathlib import Path
from typing import Any

from medfed.audit.results import AuditReport, Check, Finding, PositiveControl, SectionResult, census, share
from medfed.audit.run import audit
from medfed.compare.audits import changes, unlike
from medfed.compare.run import compare_runs
from medfed.params import load_weights, save_weights
from medfed.report.compare_page import render_comparison, sentences
from medfed.results import Estimate, RunResult, write_json
from tests.medfed.audit.reports import report_of, section_of
from tests.medfed.audit.small_run import SITES

GAP = "AUROC on images of the training minus on test images, mean over sites"


def _audited(pair: tuple[Path, Path], *overrides: str) -> None:
    """Audit both, the second, whose summary is of the first model, without figures by site and with ``overrides``."""
    summary = RunResult.load(pair[1]).summary
    sites = {name: site.model_copy(update={"federated": None}) for name, site in summary.sites.items()}
    write_json(pair[1] / "summary.json", summary.model_copy(update={"sites": sites}))
    audit(pair[0], sections=("performance",))
    audit(pair[1], sections=("performance",), overrides=overrides)


def test_audits_stand_beside_each_other(pair: tuple[Path, Path]):
    _audited(pair)
    found = compare_runs(pair).runs[1]
    assert found.audit == {"Performance without an attack": found.audit_verdict}
    assert {change.what for change in found.changes} == {GAP, *(f"AUROC, {site}" for site in SITES)}
    assert (found.audit_stale, found.unlike) == ("", {})


def test_findings_differ_where_their_intervals_do_not_overlap():
    """By hand: 90 of 100 against 50 and 85 of 100, which is better, and unclear; at most turns it around."""

    def change(ours: int, theirs: int, direction: str = "at_least") -> str:
        reports = (
            report_of(SectionResult(name="s", title="S", findings=(_share(right, direction),)))
            for right in (ours, theirs)
        )
        (found,) = changes(*reports, {})
        assert found.note == ""
        return str(found.outcome)

    assert (change(90, 50), change(50, 90), change(90, 85)) == ("better", "worse", "no clear difference")
    assert (change(90, 50, "at_most"), change(50, 90, "at_most")) == ("worse", "better")


def _share(right: int, direction: str) -> Finding:
    return Finding(what="right", estimate=share(right, 100), threshold=0.5, direction=direction, kind="share")


def test_without_an_interval_nothing_is_compared_and_it_says_so():
    wide = Finding(what="w", estimate=Estimate(value=0.5, low=None, high=None, n=3), threshold=0.5, kind="mean")
    few = report_of(SectionResult(name="s", title="S", findings=(wide,)))
    (found,) = changes(few, few, {})
    assert (str(found.outcome), found.note) == ("not compared", "one of the two figures has no interval")


def _assert_not_compared(pair: tuple[Path, Path], words: str) -> None:
    """Neither in the rows, nor at the head, nor on the page."""
    comparison = compare_runs(pair)
    found = comparison.runs[1]
    assert len(found.changes) == 4
    assert {str(change.outcome) for change in found.changes} == {"not compared"}
    assert all(words in change.note for change in found.changes)
    assert words in found.unlike["Performance without an attack"]
    head = " ".join(sentences(comparison))
    assert "1 of the 1 sections of both are not alike, and not compared" in head
    assert words in head
    page = render_comparison(comparison)
    assert page.count(words) >= 1 + 1 + 4  # the head, the verdicts, the findings


def test_audits_with_other_settings_are_not_compared(pair: tuple[Path, Path]):
    _audited(pair, "performance.threshold=0.1")
    _assert_not_compared(pair, "different settings: threshold = 0.1 (reference: None)")


def test_an_audit_of_an_older_model_is_not_compared(pair: tuple[Path, Path]):
    _audited(pair)
    weights = load_weights(pair[1] / "model.safetensors")
    save_weights(pair[1] / "model.safetensors", {name: value + 0.01 for name, value in weights.items()})
    _assert_not_compared(pair, "the audit of this run is of another model than it has now")
    assert compare_runs(pair).runs[1].audit_stale == "another model"
    assert "The audit of small #2 is old: it is of another model than the run has now." in sentences(compare_runs(pair))
    assert compare_runs(pair[::-1]).runs[0].audit_stale == "another model"
    _assert_not_compared(pair[::-1], "the audit of the reference is of another model than it has now")


def test_an_old_audit_is_seen_where_the_images_are_gone(pair: tuple[Path, Path]):
    _audited(pair)
    path = pair[1] / "scenario.toml"
    path.write_text(path.read_text().replace("labels.csv", "gone.csv"))
    assert compare_runs(pair).runs[1].audit_stale == ""
    weights = load_weights(pair[1] / "model.safetensors")
    save_weights(pair[1] / "model.safetensors", {name: value + 0.01 for name, value in weights.items()})
    assert compare_runs(pair).runs[1].audit_stale == "another model"


def test_audits_of_other_test_images_are_not_compared(pair: tuple[Path, Path]):
    path = pair[1] / "scenario.toml"
    path.write_text(path.read_text().replace("image_size = 16", "image_size = 8"))
    (pair[1] / "data.json").unlink()
    _audited(pair)
    _assert_not_compared(pair, "the audits are of different test data")


def _report(**fields: Any) -> AuditReport:
    return report_of(section_of(99, 100, **fields))


def test_figures_that_mean_nothing_are_not_compared():
    """An attack that was too weak finds less; that is no change for the better."""
    weak = PositiveControl(description="d", metric="m", expected=0.9, observed=0.1)
    broken = Check(what="holds", holds=False, observed="not")
    for fields, words in (
        ({"positive_control": weak}, "the positive control did not hold here"),
        ({"checks": (broken,)}, "INVALID here"),
    ):
        assert unlike(_report(**fields), _report()) == {"S": words}
        assert unlike(_report(), _report(**fields)) == {"S": words.replace("here", "in the reference")}
    assert unlike(_report(), _report()) == {}


def test_counts_of_all_there_are_claim_no_change():
    """One site named of four, and none: without an interval nobody knows what chance does."""

    def report(named: int) -> AuditReport:
        finding = Finding(what="w", estimate=census(named, 4), threshold=0.0, direction="at_most", kind="census")
        return report_of(SectionResult(name="s", title="S", findings=(finding,)))

    (change,) = changes(report(1), report(0), {})
    assert (str(change.outcome), change.census) == ("not compared", True)
    assert "no interval" in change.note
