"""The audit's own sections. Oracles: the evaluation that the run's summary is made of, and planted faults."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from medfed.audit.results import AuditReport
from medfed.audit.run import audit
from medfed.audit.training_images import OldAndNew
from medfed.audit.verdicts import judge, worst
from medfed.params import load_weights, save_weights
from medfed.results import Estimate, RunResult, write_json
from tests.medfed.audit.small_run import SITES, write_small_run

OWN = ("identity", "performance")


def _sections(report: AuditReport) -> dict:
    return {section.name: section for section in report.sections}


def test_an_honest_run_is_what_it_says(small_run: Path):
    found = _sections(audit(small_run, sections=OWN, overrides=('identity.intended_use="triage"',)).report)
    assert found["identity"].verdict == "PASS"
    assert found["identity"].not_tested == ()
    assert all(check.holds for section in found.values() for check in section.checks)
    summary = RunResult.load(small_run).summary
    performance = found["performance"]
    by_site = performance.findings[: len(SITES)]
    assert [finding.estimate for finding in by_site] == [
        summary.sites[name].federated["auroc"] for name in sorted(SITES)
    ]
    assert {finding.threshold for finding in by_site} == {0.8}


@pytest.mark.parametrize("threshold", [1e-9, 0.3, 0.9, 1.0])
def test_the_threshold_decides(small_run: Path, threshold: float):
    report = audit(small_run, sections=("performance",), overrides=(f"performance.threshold={threshold}",)).report
    sites = RunResult.load(small_run).summary.sites
    figures = [sites[name].federated["auroc"] for name in sorted(SITES)]
    by_site = report.sections[0].findings[: len(SITES)]
    assert [finding.verdict for finding in by_site] == [judge(e.low, e.high, threshold) for e in figures]
    assert report.verdict is worst(finding.verdict for finding in report.sections[0].findings)


def test_a_model_that_is_not_finite_fails(small_run: Path):
    weights = load_weights(small_run / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] = torch.nan
    save_weights(small_run / "model.safetensors", weights)
    found = _sections(audit(small_run, sections=OWN).report)
    assert found["identity"].verdict == "FAIL"
    assert found["performance"].verdict == "INVALID"  # not what the run reported


def test_figures_that_are_not_the_model_s_are_invalid(small_run: Path):
    summary = RunResult.load(small_run).summary
    first = min(summary.sites)
    estimate = summary.sites[first].federated["auroc"]
    better = summary.sites[first].federated | {"auroc": estimate.model_copy(update={"value": estimate.value - 0.01})}
    sites = summary.sites | {first: summary.sites[first].model_copy(update={"federated": better})}
    write_json(small_run / "summary.json", summary.model_copy(update={"sites": sites}))
    assert audit(small_run, sections=("performance",)).report.verdict == "INVALID"


def test_data_that_changed_since_the_run_are_invalid(tmp_path: Path):
    folder = write_small_run(tmp_path)
    Image.new("L", (16, 16), 7).save(tmp_path / "images" / "0-test-0.png")
    section = audit(folder, sections=("identity",)).report.sections[0]
    assert section.verdict == "INVALID"
    assert str(tmp_path) not in section.model_dump_json()


def test_data_of_which_nothing_was_kept_are_said_to_be_unknown(small_run: Path):
    (small_run / "data.json").unlink()
    section = audit(small_run, sections=("identity",)).report.sections[0]
    assert section.verdict == "PASS"
    assert any("does not say what they were" in reason for reason in section.not_tested)


def test_no_path_of_this_machine_is_told(small_run: Path):
    folder = audit(small_run, sections=OWN).folder
    for name in ("report.json", "report.html", "junit.xml", "samples.csv"):
        assert str(small_run.parent) not in (folder / name).read_text()
        assert "labels.csv" not in (folder / name).read_text()


def test_a_strategy_that_leaves_parts_at_the_sites_is_not_tested(small_run: Path):
    path = small_run / "scenario.toml"
    text = path.read_text().replace("[federation]\n", '[federation]\nbatch_norm = "local"\n')
    assert text != path.read_text()
    path.write_text(text.replace('name = "fedavg"', 'name = "fedper"'))
    report = audit(small_run, sections=OWN).report
    assert report.verdict == "NOT_TESTED"
    assert "parts of the model at the sites" in json.dumps(report.model_dump(mode="json"))


def _around(value: float, se: float) -> Estimate:
    return Estimate(value=value, low=value - 2 * se, high=value + 2 * se, n=10, se=se)


def test_the_gap_is_a_mean_of_differences_and_its_errors_add_in_squares():
    trained = {"a": _around(0.9, 0.03), "b": _around(0.8, 0.04)}
    tested = {"a": _around(0.7, 0.12), "b": _around(0.5, 0.0), "untrained": _around(0.1, 0.0)}
    found = OldAndNew("auroc", trained, tested, False, frozenset()).gap()
    assert found.value == pytest.approx(0.25)
    assert found.se == pytest.approx(0.065)  # half of the root of .03^2 + .04^2 + .12^2
    assert (found.low, found.high) == pytest.approx((0.25 - 1.959964 * 0.065, 0.25 + 1.959964 * 0.065))
    shared = OldAndNew("auroc", trained, {"all": _around(0.7, 0.06)}, True, frozenset()).gap()
    assert (shared.value, shared.se) == pytest.approx((0.15, 0.065))  # the root of .025^2 + .06^2


def test_a_gap_may_be_negative_or_unknown():
    assert OldAndNew("auroc", {"a": _around(0.6, 0.01)}, {"a": _around(0.9, 0.01)}, False, frozenset()).gap().value < 0
    assert OldAndNew("auroc", {"a": _around(0.6, 0.01)}, {}, False, frozenset()).gap().value is None
    assert OldAndNew("auroc", {}, {"a": _around(0.6, 0.01)}, False, frozenset()).findings(0.8, 0.1) == ()


def _beside(**values: float) -> OldAndNew:
    trained = {name: _around(value, 0.03) for name, value in values.items()}
    return OldAndNew("auroc", trained, {}, False, frozenset(trained))


def test_a_site_is_contradicted_where_the_model_misses_it_and_not_the_others():
    both = _beside(a=0.5, b=0.9, c=0.95)
    assert both.contradicted(0.8) == ["a"]
    assert both.findings(0.8, 0.1)[1].estimate.value == pytest.approx(1 / 3)
    assert both.findings(0.8, 0.1)[1].verdict == "FAIL"
    assert _beside(a=0.82, b=0.97, c=0.97).contradicted(0.8) == []  # worse than the others, and good enough
    assert _beside(a=0.55, b=0.55, c=0.55).contradicted(0.8) == []  # it has learned nothing anywhere
    assert OldAndNew("auroc", both.trained, {}, False, frozenset({"b", "c"})).contradicted(0.8) == []


def test_images_of_the_training_are_those_that_the_sites_trained_on(small_run: Path):
    sections = audit(small_run, sections=("performance",), overrides=("performance.training_images=4",)).report.sections
    assert "and on 12 images that it was trained on" in sections[0].tried
    assert sections[0].tables[-1].title == "The federated model on images of its training"


def test_a_site_without_test_images_is_named_and_the_others_are_scored(small_run: Path):
    from dataclasses import replace

    import numpy as np

    from medfed.audit.opening import open_run
    from medfed.audit.performance import Performance

    context, _ = open_run(small_run, None, lambda what, done: None)
    rows = context.dataset.rows | {SITES[0]: dict(context.dataset.rows[SITES[0]]) | {"test": np.arange(0)}}
    found = Performance()(replace(context, dataset=replace(context.dataset, rows=rows)))
    assert f"{SITES[0]}: no test images" in found.not_tested
    assert sum(finding.what.startswith("AUROC, ") for finding in found.findings) == len(SITES) - 1


def test_a_site_of_one_class_has_no_figure_and_decides_nothing(tmp_path: Path):
    folder = write_small_run(tmp_path, one_class=SITES[0])
    found = audit(folder, sections=("performance",)).report.sections[0]
    figures = {finding.what.removeprefix("AUROC, "): finding for finding in found.findings}
    assert (figures[SITES[0]].estimate.value, figures[SITES[0]].verdict) == (None, "INCONCLUSIVE")
    assert any("it is not defined there" in reason for reason in found.not_tested)
