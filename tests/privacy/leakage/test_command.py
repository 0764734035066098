"""``medfed privacy attack`` over a run of seconds. Oracles: files that it writes; exit codes; one line per fault."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread

from medfed import cli
from medfed.config import parse_scenario
from medfed.params import load_metadata, load_weights, save_weights
from privacy.leakage.cli import _ended_by_ctrl_c
from privacy.leakage.default import ATTACK
from simulations.run import simulate
from tests.simulations.conftest import TINY

CHANGES = {
    "baselines.local": False,
    "baselines.pooled": False,
    "training.rounds": 1,
    "training.local_steps": 1,
    "training.batch_size": 2,
    "record.rounds": (1,),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with recorded updates of one step on two images."""
    return simulate(parse_scenario(TINY).replace(**CHANGES), out=tmp_path_factory.mktemp("runs")).folder


def call(*options: str) -> int:
    return cli.run(["privacy", "attack", *options], cli.COMMANDS)


def test_an_attack_writes_pictures_and_figures(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--site", "site-01", "--round", "-1", "--iterations", "3", "--control", "1")
    assert call(str(run), *options) == 0
    folder = run / "audit" / "inversion" / "1-site-01"
    found = json.loads((folder / "attack.json").read_text())
    assert (found["round"], found["site"], found["images_in_update"], found["local_steps"]) == (1, "site-01", 2, 1)
    assert (found["images_looked_for"], found["whole_training_simulated"], found["iterations"]) == (2, True, 3)
    assert found["stopped"] == "iterations"
    assert (found["attack"]["name"], found["came_to"]["name"]) == (ATTACK, "inverting_gradients")  # of two images
    assert found["knowledge"] == {
        "labels": False,
        "masks": False,
        "batch_norm_statistics": True,
        "class_counts": True,
        "hyper_parameters": True,
    }
    bounds = {"targets": 10, "slots": 8, "most_steps": 20, "decoys": 99, "control_images": 1, "max_iterations": 3}
    assert found["bounds"] == bounds
    assert found["classes_or_masks_told"] is False
    assert found["before_noise"]["what"].startswith("the recorded update")
    assert len(found["images"]) == 2
    assert len(found["control"]) == 1
    assert all(1 <= image["rank"] <= found["decoys"] + 1 for image in found["images"])
    assert imread(folder / "pairs.png").std() > 0.0
    shown = capsys.readouterr().out
    assert "update: 2 images, 1 steps; looked for 2, all steps simulated" in shown
    assert "control, one undefended image" in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--site", "nobody", "--round", "1"), 'no update of site "nobody" was recorded in round 1'),
        (("--site", "site-01", "--round", "7"), "round 7 was not recorded; there are: 1"),
        (("--site", "site-01", "--round", "1", "--attack", "guess"), 'unknown inversion "guess"'),
    ],
)
def test_bad_input_is_one_line(
    run: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(str(run), *options) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert len(shown.splitlines()) == 1


def _masked(folder: Path) -> None:
    _rewrite(folder, lambda value: (value * 2**20).to(torch.int32))


def _without_global(folder: Path) -> None:
    (folder / "recorded" / "1" / "global.weights.safetensors").unlink()


def _of_another_width(folder: Path) -> None:
    _rewrite(folder, lambda value: torch.cat([value, value]))


def _of_integers(folder: Path) -> None:
    """An update that was written as whole numbers, as images of a camera are."""
    _rewrite(folder, lambda value: value.to(torch.uint8))


def _of_another_model(folder: Path) -> None:
    path = folder / "scenario.toml"
    path.write_text(path.read_text().replace("width = 4", "width = 5"))


def _rewrite(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    path = folder / "recorded" / "1" / "site-01.safetensors"
    save_weights(path, {n: change(v) for n, v in load_weights(path).items()}, load_metadata(path))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_masked, "is masked (secure aggregation)"),
        (_without_global, "the global weights of round 1 are missing"),
        (_of_another_width, "the update does not fit the scenario's model"),
        (_of_integers, "is masked (secure aggregation)"),
        (_of_another_model, "model.safetensors: is damaged"),
    ],
)
def test_a_recording_that_cannot_be_attacked_is_one_line(
    run: Path,
    spoil: Callable[[Path], None],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / run.name
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("audit"))
    spoil(folder)
    assert call(str(folder), "--site", "site-01", "--round", "1") == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert len(shown.splitlines()) == 1
    assert not (folder / "audit").exists()


def test_a_folder_that_is_no_run_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(str(tmp_path), "--site", "a", "--round", "1") == 2
    assert "is not the folder of a run" in capsys.readouterr().err


@pytest.fixture
def python_s_own_handler() -> Iterator[None]:
    """Whatever an earlier test of this process left: Flower's apps set handlers of their own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_s_own_handler")
def test_the_first_ctrl_c_asks_for_the_end_and_the_second_interrupts() -> None:
    with _ended_by_ctrl_c() as asked:
        assert not asked
        signal.raise_signal(signal.SIGINT)
        assert asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
