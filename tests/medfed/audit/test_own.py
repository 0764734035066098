"""The audit's own sections. Oracles: the evaluation that the run's summary is made of, and planted faults."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from medfed.audit.results import AuditReport
from medfed.audit.run import audit
from medfed.audit.verdicts import judge, worst
from medfed.params import load_weights, save_weights
from medfed.results import RunResult, write_json
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
    assert [finding.estimate for finding in performance.findings] == [
        summary.sites[name].federated["auroc"] for name in sorted(SITES)
    ]
    assert {finding.threshold for finding in performance.findings} == {0.8}


@pytest.mark.parametrize("threshold", [1e-9, 0.3, 0.9, 1.0])
def test_the_threshold_decides(small_run: Path, threshold: float):
    report = audit(small_run, sections=("performance",), overrides=(f"performance.threshold={threshold}",)).report
    figures = [site.federated["auroc"] for site in RunResult.load(small_run).summary.sites.values()]
    assert report.verdict is worst(judge(figure.low, figure.high, threshold) for figure in figures)


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
