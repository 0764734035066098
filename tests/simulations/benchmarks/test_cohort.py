"""The cohort benchmark gives all programs the same task. Oracles: counts by hand, the bundled images themselves."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medfed.data.location import resolve_path
from medfed.types import Task
from simulations.benchmarks import cohort, cohort_case, cohort_plain, cohort_task
from simulations.benchmarks.peers.two_conv import two_conv

USERS, COHORT, IMAGES = 5, 2, 7


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort") / "cohort.npz"
    cohort_task.write_data(path, USERS, COHORT, IMAGES)
    return path


def test_pfl_s_network_has_its_number_of_parameters() -> None:
    # by hand, 1 x 28 x 28 and width 32: 9*32+32, 9*32*64+64, 64*12*12*128+128, 128*2+2
    assert sum(p.numel() for p in two_conv(1, 28, 2, 32).parameters()) == 320 + 18_496 + 1_179_776 + 258


def test_the_network_sees_standardized_images() -> None:
    with np.load(resolve_path(cohort_task.SOURCE)) as source:
        pixels = torch.from_numpy(source["train_images"]).float() / 255
    seen = two_conv(1, 28, 2, 4)[0](pixels)
    assert float(seen.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(seen.std()) == pytest.approx(1.0, abs=0.05)


def test_every_user_holds_its_slice_of_the_training_images(data: Path) -> None:
    from simulations.inputs import check_inputs

    scenario, dataset = check_inputs(cohort_task.cohort_scenario(data, 3, 4, 1, 1))
    assert len(dataset.sites) == USERS
    for user, site in enumerate(scenario.federation.sites):
        train = dataset.site(site).train
        assert list(train.rows) == list(range(user * IMAGES, (user + 1) * IMAGES))
        assert len(dataset.site(site).val) > 0


def test_the_file_begins_with_the_real_test_images(data: Path) -> None:
    with np.load(data) as file, np.load(resolve_path(cohort_task.SOURCE)) as source:
        assert int(file["num_test"]) == len(source["test_images"]) == 624
        np.testing.assert_array_equal(file["test_images"][:624], source["test_images"])


def test_training_images_repeat_only_when_all_were_given(tmp_path: Path) -> None:
    path = tmp_path / "many.npz"
    cohort_task.write_data(path, users=100, cohort=2, images_per_user=50)
    with np.load(path) as file, np.load(resolve_path(cohort_task.SOURCE)) as source:
        number = len(source["train_images"])
        sums = [
            images.reshape(number, -1).sum(axis=1) for images in (file["train_images"][:number], source["train_images"])
        ]
        assert len(file["train_images"]) == 5000
        np.testing.assert_array_equal(*map(np.sort, sums))


def test_peers_start_from_our_weights_and_our_users(data: Path, tmp_path: Path) -> None:
    scenario = cohort_task.cohort_scenario(data, 3, 4, 1, 1)
    cohort_task.write_start(tmp_path / "start.npz", scenario)
    with np.load(tmp_path / "start.npz") as start:
        assert start["cohorts"].shape == (3, COHORT)
        assert set(start["cohorts"].ravel()) <= set(range(USERS))
        module = two_conv(1, 28, 2, 4)
        module.load_state_dict({name: torch.from_numpy(start[name]) for name in module.state_dict()})


def test_our_side_runs_and_scores_the_last_model(data: Path, tmp_path: Path) -> None:
    found = cohort_case.run(cohort_task.cohort_scenario(data, 3, 4, 1, 1), data, tmp_path)
    assert len(found["seconds"]) == 3  # type: ignore[arg-type]
    assert 0.0 <= found["accuracy"] <= 1.0  # type: ignore[operator]


def test_accuracy_is_the_share_of_right_answers(data: Path) -> None:
    class Pneumonia(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[0.0, 1.0]]).expand(len(images), 2)

    assert cohort_case.accuracy(Pneumonia(), data) == pytest.approx(390 / 624)  # counts of the data set's README


def test_rows_hold_ours_against_each_peer(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    def run(seconds: float, accuracy: float) -> dict[str, Any]:
        return {"seconds": [9.0, seconds, seconds, 9.0], "accuracy": accuracy}

    runs = {"ours": [run(1.0, 0.90)], "pfl": [run(2.0, 0.91)], "flower": [run(4.0, 0.80)]}
    monkeypatch.setattr(cohort, "programs", lambda *arguments: (runs, {"pfl": "", "flower": ""}))
    pfl, flower, accuracy, other = cohort.compare(data, 4, [1], 4)
    assert (pfl.ours, pfl.peer, pfl.holds) == (1.0, 2.0, True)
    assert (flower.ours, flower.peer, flower.goal, flower.holds) == (1.0, 4.0, 0.8, False)
    assert (accuracy.ours, accuracy.goal, accuracy.holds) == pytest.approx((90.0, 90.5, False))
    assert other.holds


def test_speed_up_is_the_median_of_the_pairs(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    seconds = iter([2.0, 1.0, 9.0, 3.0, 4.0, 4.0])  # one worker, two workers, and so on: 2, 3, 1
    monkeypatch.setattr(cohort, "ours", lambda *arguments: {"seconds": [0.0, next(seconds), 0.0]})
    assert cohort.speed_up(data, 4, 3, 3).ours == 2.0


def test_the_model_is_a_plug_in_with_the_peers_network() -> None:
    task = Task("classification", ("a", "b"), "softmax", 1, 28)
    module = cohort_task.TwoConv(width=4)(task)
    assert [type(layer) for layer in module.children()] == [type(layer) for layer in two_conv(1, 28, 2, 4).children()]


def test_plain_loops_take_their_steps_at_the_same_time() -> None:
    start = time.perf_counter()
    rate = cohort_plain.steps_per_second(width=4, steps=20, processes=2)
    assert 2 * 20 / rate < time.perf_counter() - start  # the steps took less than all, process starts included
