"""The audit's own sections. Oracles: the evaluation that the run's summary is made of, and planted faults."""

import json
from pathlib import Path

import torch
from PIL import Image

from medfed.audit.results import AuditReport
from medfed.audit.run import audit
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
    by_site = performance.findings[: len(SITES)]
    assert [finding.estimate.value for finding in by_site] == [
        summary.sites[name].federated["auroc"].value for name in sorted(SITES)
    ]
    assert {finding.threshold for finding in by_site} == {0.8}


def test_four_patients_of_a_site_decide_nothing(small_run: Path):
    """Its eight test images are of four patients, each with one of both classes."""
    found = audit(small_run, sections=("performance",), overrides=("performance.threshold=1e-9",)).report.sections[0]
    assert [finding.verdict for finding in found.findings[: len(SITES)]] == ["INCONCLUSIVE"] * len(SITES)
    assert any(reason.endswith("fewer than 10 test patients of a class") for reason in found.not_tested)


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


def test_images_of_the_training_are_those_that_the_sites_trained_on(small_run: Path):
    sections = audit(small_run, sections=("performance",), overrides=("performance.training_images=4",)).report.sections
    assert "and on 12 images that it was trained on" in sections[0].tried
    assert sections[0].tables[-1].title.startswith("The federated model on images of its training")


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
