"""Runs beside each other. Oracles: figures of each run by itself, the closed form of a paired error, symmetry."""

import json
from pathlib import Path

import numpy as np
import pytest

from medfed.audit.opening import open_run
from medfed.cli import COMMANDS, run
from medfed.compare.paired import paired_differences
from medfed.compare.results import Comparison
from medfed.compare.run import compare_runs
from medfed.errors import RunFolderError, ScenarioError
from medfed.report.compare_page import render_comparison, sentences
from medfed.results import Guarantee, PrivacyStatement, RunResult, write_json
from medfed.training.evaluation import evaluate, predict_batch
from tests.medfed.report.html_page import Page, assert_sound
from tests.medfed.report.test_browser import browser, look  # noqa: F401 - the fixture


def _context(folder: Path):
    return open_run(folder, None, lambda what, done: None)[0]


def test_a_difference_is_that_of_the_two_figures_and_turns_its_sign(pair: tuple[Path, Path]):
    first, second = map(_context, pair)
    there, back = paired_differences(second, first), paired_differences(first, second)
    for name, images in first.test_sets().items():
        ours, theirs = (evaluate(c.model, images, c.scenario, ("x",)).metrics for c in (second, first))
        for metric, difference in there.items():
            assert difference.sites[name].value == pytest.approx(ours[metric].value - theirs[metric].value, abs=1e-12)
            assert difference.sites[name].low == pytest.approx(-back[metric].sites[name].high, abs=1e-12)


def test_a_run_does_not_differ_from_itself(pair: tuple[Path, Path]):
    found = compare_runs([pair[0], pair[0]])
    for difference in found.runs[1].differences.values():
        assert (difference.mean.low, difference.mean.value, difference.mean.high) == (0.0, 0.0, 0.0)
        assert difference.outcome == "no clear difference"
    assert "does not differ from small #1 beyond chance in AUROC" in sentences(found)[0]


def test_the_error_is_that_of_the_pairs(pair: tuple[Path, Path]):
    """Of a mean over patients with as many images each: the spread of the patients' differences over sqrt(n)."""
    first, second = map(_context, pair)
    found = paired_differences(second, first)["loss"]
    for name, images in first.test_sets().items():
        batch, labels = images.batch(np.arange(len(images)))
        losses = [
            -np.log(predict_batch(c.model, batch, c.task).double().numpy()[np.arange(len(labels)), labels])
            for c in (second, first)
        ]
        change = losses[0] - losses[1]
        by_patient = [change[np.array(images.patients) == patient].mean() for patient in sorted(set(images.patients))]
        expected = np.std(by_patient) / np.sqrt(len(by_patient))
        assert found.sites[name].value == pytest.approx(np.mean(by_patient), rel=1e-4)
        assert found.sites[name].se == pytest.approx(expected, rel=0.3)  # of 100 draws


def test_settings_that_differ_are_named_and_others_not(pair: tuple[Path, Path]):
    path = pair[1] / "scenario.toml"
    path.write_text(path.read_text().replace("batch_size = 4", "batch_size = 8"))
    found = compare_runs(pair)
    assert [run.settings for run in found.runs] == [{"training.batch_size": "4"}, {"training.batch_size": "8"}]


def test_other_test_images_are_compared_by_intervals_and_it_says_so(pair: tuple[Path, Path]):
    path = pair[1] / "scenario.toml"
    path.write_text(path.read_text().replace("image_size = 16", "image_size = 8"))
    (pair[1] / "data.json").unlink()
    found = compare_runs(pair).runs[1]
    assert not found.paired
    assert "no site has the same test images" in found.note
    assert found.differences["auroc"].mean.low is None
    assert found.differences["auroc"].outcome == "no clear difference"


def test_a_run_whose_data_are_gone_is_compared_by_its_summary(pair: tuple[Path, Path]):
    path = pair[1] / "scenario.toml"
    path.write_text(path.read_text().replace("labels.csv", "gone.csv"))
    found = compare_runs(pair).runs[1]
    assert found.note.startswith("not tested again")
    assert set(found.differences) == {"auroc"}


@pytest.mark.parametrize(
    ("unit", "epsilon", "words"),
    [("record", 2.0, "one record replaced"), ("patient", 2.0, "one patient replaced"), ("site", 1.0, "one site added")],
)
def test_the_epsilon_is_that_which_the_statement_leads_with(
    pair: tuple[Path, Path], unit: str, epsilon: float, words: str
):
    """Counts of records and patients are told, so that add/remove does not hold for them."""
    both = [
        Guarantee(unit=unit, relation=relation, epsilon=value, delta=1e-5, releases=3)
        for relation, value in (("add_remove", 1.0), ("replace", 2.0))
    ]
    texts = dict.fromkeys(("mechanism", "trusted", "covered", "sentence", "outlook"), "x")
    promised = PrivacyStatement(noise_multiplier=1.0, guarantees=both, not_covered=[], replayable=False, **texts)
    summary = RunResult.load(pair[1]).summary
    write_json(pair[1] / "summary.json", summary.model_copy(update={"privacy": promised}))
    found = compare_runs(pair).runs
    assert [run.epsilon for run in found] == [None, epsilon]
    assert found[1].epsilon_for.startswith(words)
    assert found[1].epsilon_for.endswith(", delta 1e-05")


def test_runs_of_different_tasks_are_refused(pair: tuple[Path, Path]):
    summary = RunResult.load(pair[1]).summary
    write_json(pair[1] / "summary.json", summary.model_copy(update={"headline_metric": "accuracy"}))
    with pytest.raises(ScenarioError, match="cannot be compared"):
        compare_runs(pair)


@pytest.mark.parametrize("count", [0, 1])
def test_one_run_is_no_comparison(pair: tuple[Path, Path], count: int):
    with pytest.raises(ScenarioError, match="at least two"):
        compare_runs(pair[:count])


def test_what_is_no_run_is_refused(pair: tuple[Path, Path], tmp_path: Path):
    with pytest.raises(RunFolderError):
        compare_runs([pair[0], tmp_path])


def test_the_command_writes_a_page_and_a_table(pair: tuple[Path, Path], tmp_path: Path, capsys):
    assert run(["compare", str(pair[0]), str(pair[1]), "--out", str(tmp_path / "c")], COMMANDS) == 0
    said = capsys.readouterr().out
    assert "small #2" in said
    assert "reference" in said
    found = Comparison.model_validate(json.loads((tmp_path / "c" / "comparison.json").read_text()))
    assert (tmp_path / "c" / "report.html").read_text() == render_comparison(found)
    assert_sound(Page(tmp_path / "c" / "report.html"))
    assert run(["compare", str(pair[0])], COMMANDS) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_self_contained_and_fits(pair: tuple[Path, Path], tmp_path: Path, browser, width: int, scheme: str):  # noqa: F811
    found = compare_runs([*pair, pair[0]])
    hostile = found.runs[1].model_copy(
        update={"name": "<script>alert(1)</script>" * 9, "note": "x" * 500, "settings": {"a.b": "<b>" * 90}}
    )
    reference = found.runs[0].model_copy(update={"settings": {"a.b": "1"}})
    path = tmp_path / "report.html"
    path.write_text(render_comparison(found.model_copy(update={"runs": (reference, hostile, *found.runs[2:])})))
    assert_sound(Page(path))
    seen = look(browser, path, width, scheme)
    assert [url for url in seen["requests"] if not url.startswith("data:")] == [path.as_uri()]
    assert seen["complaints"] == []
    assert seen["sizes"][0] <= seen["sizes"][1]
