"""The audit of a model alone. Oracles: the audit of the run that the model came from, and planted faults."""

import csv
import shutil
from pathlib import Path

import pytest
import torch

from medfed.audit.outside import OutsideModel
from medfed.audit.run import audit
from medfed.cli import COMMANDS, run
from medfed.errors import DataError, ScenarioError
from medfed.params import load_weights, save_weights
from tests.medfed.audit.small_run import SITES, write_small_run


@pytest.fixture
def outside(tmp_path: Path) -> OutsideModel:
    """The weights of the small run, and its images by a manifest without splits."""
    folder = write_small_run(tmp_path)
    with (tmp_path / "images" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "images" / "mine.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["image", "label", "site", "patient"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    weights = Path(shutil.copy(folder / "model.safetensors", tmp_path / "theirs.safetensors"))
    return OutsideModel(weights, tmp_path / "images" / "mine.csv", folder / "scenario.toml", tmp_path / "out")


def test_every_image_is_for_the_test_and_what_needs_a_run_says_so(outside: OutsideModel):
    cheap = ("adversarial.curve=[8.0]", "adversarial.images=8", "adversarial.steps=5", "adversarial.queries=1")
    found = audit(outside, overrides=cheap)
    sections = {section.name: section for section in found.report.sections}
    assert not found.report.run.trained_here
    assert found.folder == outside.folder / "audit"
    assert sections["identity"].verdict == "PASS"
    assert [finding.estimate.n for finding in sections["performance"].findings] == [8, 8, 8]  # patients of 16 images
    assert sections["adversarial"].verdict != "NOT_TESTED"
    assert sections["poisoning"].not_tested == (
        "the whole section: needs the run that trained the model; this audit was given the model alone",
    )
    assert not any(section.error for section in found.report.sections)


def test_the_images_of_the_test_split_give_the_figures_of_the_run(outside: OutsideModel, tmp_path: Path):
    of_run = audit(tmp_path / "small", sections=("performance",)).report.sections[0]
    same = OutsideModel(outside.weights, tmp_path / "images" / "labels.csv", outside.scenario, outside.out)
    found = audit(same, sections=("performance",)).report.sections[0]
    assert found.findings == of_run.findings[: len(SITES)]  # of the training it knows nothing


def test_the_command_line_takes_it(outside: OutsideModel, capsys):
    options = ["--model", str(outside.weights), "--data", str(outside.data), "--scenario", str(outside.scenario)]
    code = run(["audit", *options, "--out", str(outside.out), "--sections", "identity", "--no-pdf"], COMMANDS)
    assert code == 0, capsys.readouterr().err
    page = (outside.folder / "audit" / "report.html").read_text()
    assert "trained elsewhere" in page
    assert "by someone else" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give RUN, or --model FILE and --data MANIFEST"),
        (["--model", "m.safetensors"], "give RUN, or --model FILE and --data MANIFEST"),
        (["RUN", "--data", "x.csv"], "leave RUN out"),
        (["--model", "nothing.safetensors", "--data", "x.csv"], "--scenario FILE"),
    ],
)
def test_half_a_command_is_bad_input(arguments: list[str], words: str, capsys):
    assert run(["audit", *arguments], COMMANDS) == 2
    assert words in capsys.readouterr().err


def test_a_pickle_is_refused_with_what_to_do(outside: OutsideModel, tmp_path: Path):
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(ScenarioError, match="save_file"):
        audit(OutsideModel(tmp_path / "model.pt", outside.data, outside.scenario))


def test_weights_of_another_architecture_are_refused(outside: OutsideModel):
    weights = load_weights(outside.weights)
    save_weights(outside.weights, {f"other.{name}": value for name, value in weights.items()})
    with pytest.raises(ScenarioError, match="do not fit the model of the scenario"):
        audit(outside)


def test_a_manifest_without_test_images_is_refused(outside: OutsideModel):
    text = outside.data.read_text().splitlines()
    outside.data.write_text("\n".join([text[0] + ",split", *(line + ",train" for line in text[1:])]) + "\n")
    with pytest.raises(DataError, match="no image is for the test"):
        audit(outside)


def test_a_site_without_test_images_is_left_out(outside: OutsideModel):
    header, *rows = outside.data.read_text().splitlines()
    rows = [f"{row},{'train' if SITES[0] in row else 'test'}" for row in rows]
    outside.data.write_text("\n".join([f"{header},split", *rows]) + "\n")
    report = audit(outside, sections=("performance",)).report
    assert set(report.run.sites) == set(SITES[1:])
    assert len(report.sections[0].findings) == 2
