"""``--device`` of a simulation. Oracles: the lines that a user reads; division by hand."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from medfed.config import Scenario, parse_scenario
from medfed.devices import CPU
from medfed.errors import DeviceError, RunFolderError
from medfed.models.initial import initial_model
from medfed.registry import plugin
from medfed.run_folder import RunFolder
from medfed.training.memory import training_bytes
from medfed.types import Task
from simulations.bundled import scenario_file
from simulations.engine.ray_engine import RayEngine
from simulations.engine.workers import num_workers, workers_in
from simulations.run import _place, _require_device, simulate
from tests.medfed.trial import TEXT


@pytest.fixture
def scenario() -> Scenario:
    return parse_scenario(TEXT)


def test_a_gpu_that_is_not_there_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(DeviceError, match="finds no GPU"):
        simulate(scenario_file(Path("pneumonia-cnn")), out=tmp_path, device="cuda")
    assert not list(tmp_path.iterdir())


def test_ray_trains_on_the_cpu(scenario: Scenario) -> None:
    with pytest.raises(DeviceError, match="leave out --device or --engine ray"):
        _place(scenario, RayEngine(), "cuda")


def test_a_run_goes_on_where_it_began(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    _require_device(folder, "cuda")  # nothing has begun
    (tmp_path / "environment.json").write_text(json.dumps({"run": "a", "device": "cuda"}))
    _require_device(folder, "cuda")
    with pytest.raises(RunFolderError, match="go on with --device cuda"):
        _require_device(folder, "cpu")


def test_a_run_that_is_older_than_devices_was_on_the_cpu(tmp_path: Path) -> None:
    """Naive: its ``environment.json`` lacks a key, so that the folder is told to be damaged."""
    folder = RunFolder(tmp_path)
    (tmp_path / "environment.json").write_text(json.dumps({"run": "a", "devices": []}))
    _require_device(folder, "cpu")
    with pytest.raises(RunFolderError, match="the run began on, cpu, got cuda; go on with --device cpu"):
        _require_device(folder, "cuda")
    (tmp_path / "environment.json").write_text("[]")
    with pytest.raises(RunFolderError, match=r"environment\.json"):
        _require_device(folder, "cpu")


def test_as_many_workers_as_the_fullest_gpu_holds() -> None:
    gigabyte = 1_000_000_000
    assert workers_in([10 * gigabyte], gigabyte) == 5  # 9 GB for processes of 1.7
    assert workers_in([10 * gigabyte, 4 * gigabyte], gigabyte) == 4  # 3.6 GB: two on each
    assert workers_in([gigabyte // 10], gigabyte) == 1


def test_workers_that_are_asked_for_are_given(scenario: Scenario) -> None:
    assert num_workers(scenario.replace(**{"engine.workers": 3}), [CPU]) == 3


def test_training_keeps_parameters_four_times_and_activations_with_the_batch(scenario: Scenario) -> None:
    parameters = sum(4 * value.numel() for value in initial_model(scenario).parameters())
    one, two, four = (training_bytes(scenario.replace(**{"training.batch_size": size})) for size in (1, 2, 4))
    assert four - two == 2 * (two - one) > 0
    assert one - (two - one) == 4 * parameters


@plugin
class OnePixel:
    """Its BatchNorm sees one value of an image."""

    def __call__(self, task: Task) -> nn.Module:
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(task.channels), nn.Flatten(), nn.Linear(task.channels, 2)
        )


def test_a_model_that_cannot_train_on_a_single_image_is_measured(scenario: Scenario) -> None:
    """Naive: of one image, whose BatchNorm has no variance, so that the run ends before it began."""
    model = {"name": f"{__name__}:OnePixel"}
    assert training_bytes(scenario.replace(model=model)) > 0
