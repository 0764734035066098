"""From a run's folder to what an attacker sees. Oracles: the client's own training, replayed by hand step by step with
plain torch; by-hand faults in files; BatchNorm's own statistics."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from medfed.models.initial import initial_weights
from medfed.params import load_metadata, load_weights, save_weights
from privacy.inversion.memory import restart_bytes
from privacy.leakage.control import gradient_of, undefended
from privacy.leakage.observed import noised, observe, unmodelled, within_reach
from privacy.leakage.recorded import LeakageError, read_recorded, recorded_messages
from privacy.leakage.truth import decoys_of, truth_of
from tests.privacy.leakage.recorded_run import TRAIN, dataset, opened, recorded_run, scenario_of


def test_what_was_recorded_is_listed_and_read(tmp_path: Path) -> None:
    scenario = scenario_of()
    recorded_run(tmp_path, scenario)
    assert recorded_messages(tmp_path) == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    last = read_recorded(tmp_path, scenario, -1, "b")
    assert (last.site, last.round, last.num_examples, last.num_steps) == ("b", 2, TRAIN, 1)
    assert all(torch.equal(last.weights[name], value) for name, value in initial_weights(scenario).items())


def test_a_change_is_what_the_truth_gives_by_hand(tmp_path: Path) -> None:
    """One step of SGD on the images that the auditor draws anew: change = -lr x gradient."""
    scenario, recorded, truth, data = opened(tmp_path, **{"training.batch_size": 2, "training.transforms": ("affine",)})
    assert len(truth) == 2
    assert not torch.equal(truth.images, data.train.batch(truth.positions)[0])
    full = observe(scenario, recorded, truth, data)
    model = scenario.model(scenario.model_task)
    model.load_state_dict(recorded.weights)
    functional.cross_entropy(model(truth.images), truth.labels).backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(recorded.change[name], -0.1 * parameter.grad, atol=1e-7)
        assert torch.allclose(gradient_of(full, truth)[name], parameter.grad, atol=1e-7)


def test_the_control_is_the_gradient_of_one_image_alone(tmp_path: Path) -> None:
    scenario, recorded, truth, data = opened(tmp_path, **{"training.batch_size": 3})
    seen, one = undefended(observe(scenario, recorded, truth, data), truth, 2)
    model = scenario.model(scenario.model_task)
    model.load_state_dict(recorded.weights)
    functional.cross_entropy(model(truth.images[2:]), truth.labels[2:]).backward()
    assert all(torch.allclose(seen.change[n], -p.grad, atol=1e-7) for n, p in model.named_parameters())
    assert (seen.num_examples, seen.local_steps, len(one)) == (1, 1, 1)
    assert one.patients == (truth.patients[2],)


@pytest.mark.parametrize(("steps", "took"), [(1, 2), (2, 4), (3, 6), (7, 6)])
def test_counts_of_images_and_batches(tmp_path: Path, steps: int, took: int) -> None:
    changes = {"training.batch_size": 2, "training.local_steps": steps}
    scenario, recorded, truth, data = opened(tmp_path, **changes)
    full = observe(scenario, recorded, truth, data)
    assert (full.num_examples, full.batch_size, full.local_steps) == (took, 2, steps)
    assert len(set(truth.positions.tolist())) == took


def test_beyond_reach_a_change_is_the_direction_of_one_step(tmp_path: Path) -> None:
    scenario, recorded, truth, data = opened(tmp_path, **{"training.batch_size": 2, "training.local_steps": 3})
    full = observe(scenario, recorded, truth, data)
    assert within_reach(full, scenario, 6, 3).whole
    for shown in (within_reach(full, scenario, 5, 3), within_reach(full, scenario, 6, 2)):
        assert not shown.whole
        seen = shown.observation
        assert (seen.local_steps, seen.optimizer, seen.labels) == (1, None, None)
        assert seen.num_examples == seen.batch_size <= 6


def test_what_does_not_fit_into_memory_is_looked_for_in_part_or_refused(tmp_path: Path) -> None:
    """The bounds are what the pieces take: all steps, one step on three images, on one."""
    scenario, recorded, truth, data = opened(tmp_path, **{"training.batch_size": 2, "training.local_steps": 3})
    full = observe(scenario, recorded, truth, data)
    whole = restart_bytes(full)
    assert within_reach(full, scenario, 6, 3, whole).whole
    few = full.replace(local_steps=1, num_examples=3, batch_size=3)
    shown = within_reach(full, scenario, 6, 3, restart_bytes(few))
    assert (shown.whole, shown.observation.num_examples) == (False, 3)
    assert shown.untold
    one = restart_bytes(few.replace(num_examples=1, batch_size=1))
    assert one < restart_bytes(few) < whole
    with pytest.raises(LeakageError, match=r"one image of shape \(1, 12, 12\) takes about 0\.0 GiB") as error:
        within_reach(full, scenario, 6, 3, one - 1)
    assert "\n" not in str(error.value)


def test_a_balanced_positive_weight_is_that_of_what_the_site_holds(tmp_path: Path) -> None:
    """Site b holds positives alone. The gradient is the real step; without the counts it is another."""
    loss = {"name": "bce", "pos_weight": "balanced"}
    changes = {"training.batch_size": 2, "training.loss": loss, "task.head": "sigmoid"}
    scenario, recorded, truth, data = opened(tmp_path, site="b", **changes)
    full = observe(scenario, recorded, truth, data)
    assert full.class_counts is not None
    assert full.class_counts.tolist() == [0, TRAIN]
    for seen, same in ((full, True), (full.replace(class_counts=None), False)):
        gradient = gradient_of(seen, truth)
        assert same == all(torch.allclose(recorded.change[n], -0.1 * g, atol=1e-7) for n, g in gradient.items())


def test_decoys_are_of_other_patients_of_the_site(tmp_path: Path) -> None:
    _, _, truth, data = opened(tmp_path)
    decoys = decoys_of(data, truth, (), 1000, np.random.default_rng(0))
    others = {p for part in (data.train, data.val) for p in part.patients} - set(truth.patients)
    assert sorted(decoys.patients) == sorted(others)
    assert (len(others), decoys.from_test) == (15, 0)
    assert len(decoys.draw(7, np.random.default_rng(0))) == 7
    assert len(decoys_of(data, truth, (), 5, np.random.default_rng(0)).images) == 5


def test_test_images_only_fill_a_line_up(tmp_path: Path) -> None:
    """They are often of another draw, and an attacker would tell the right one by that."""
    _, _, truth, data = opened(tmp_path)
    decoys = decoys_of(data, truth, (), 1000, np.random.default_rng(0), enough=20)
    of_test = [patient for patient in decoys.patients if patient in data.test.patients]
    assert (len(decoys.images), len(of_test), decoys.from_test) == (20, 5, 5)


def test_no_decoy_is_an_image_that_took_part(tmp_path: Path) -> None:
    """The same film under two names: nothing could tell the two apart, and no attack would name the right one."""
    _, _, truth, data = opened(tmp_path)
    taken, double = data.train.images[truth.rows[0]], int(data.val.rows[3])
    data.val.images[double] = taken
    decoys = decoys_of(data, truth, (), 1000, np.random.default_rng(0))
    assert len(decoys.patients) == 14
    assert data.val.patients[3] not in decoys.patients
    assert not any(torch.equal(image, truth.images[0]) for image in decoys.images)


def test_what_is_not_simulated_is_said(tmp_path: Path) -> None:
    assert unmodelled(scenario_of()) == []
    changes = {
        "federation.strategy": {"name": "scaffold"},
        "training.precision": "bfloat16",
        "model.dropout": 0.2,
        "training.adversarial": {"name": "pgd"},
    }
    assert [line.split()[0] for line in unmodelled(scenario_of(**changes))] == [
        "the",
        "dropout",
        "adversarial",
        "training",
    ]
    (said,) = unmodelled(scenario_of(**{"federation.compression": {"name": "top_k", "share": 0.1}}))
    assert said.startswith('compression "top_k" rounds or leaves out')
    transformed = scenario_of(**{"training.transforms": ("affine",)})
    assert unmodelled(transformed) == []
    assert unmodelled(transformed, passes=2)[0].startswith("images are transformed at random anew in every pass")
    local = {"name": "local", "clip": 1.0, "noise_multiplier": 1.0}
    (said,) = unmodelled(scenario_of(**{"privacy.mechanism": local}))
    assert "carries the noise" in said
    central = {"name": "central", "clip": 1.0, "noise_multiplier": 1.0}
    assert noised(scenario_of(**{"privacy.mechanism": local}))
    assert not noised(scenario_of(**{"privacy.mechanism": central}))
    assert not noised(scenario_of())


def _edit(folder: Path, change: Any, **metadata: Any) -> None:
    path = folder / "recorded" / "1" / "a.safetensors"
    save_weights(path, change(load_weights(path)), load_metadata(path) | metadata)


def test_no_recording_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(LeakageError, match=r"\[record\] rounds = \[1, -1\]"):
        read_recorded(tmp_path, scenario_of(), 1, "a")


@pytest.mark.parametrize(
    ("number", "site", "message"),
    [(5, "a", "round 5 was not recorded; there are: 1, 2"), (1, "z", 'no update of site "z".*there are: a, b')],
)
def test_an_unknown_round_or_site_names_those_there_are(tmp_path: Path, number: int, site: str, message: str) -> None:
    recorded_run(tmp_path, scenario_of())
    with pytest.raises(LeakageError, match=message):
        read_recorded(tmp_path, scenario_of(), number, site)


def _first_as_integers(update: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = next(name for name in update if update[name].is_floating_point())
    return update | {name: update[name].to(torch.int64)}


@pytest.mark.parametrize(
    ("change", "metadata", "message"),
    [
        (lambda update: update, {"masked": True}, "is masked"),
        (_first_as_integers, {}, "is masked"),
        (
            lambda update: update | {"other.weight": torch.zeros(2)},
            {},
            "does not fit the scenario's model: other.weight",
        ),
        (lambda update: dict(list(update.items())[1:]), {}, "other entries than the global weights"),
        (lambda update: update, {"num_steps": 0}, "num_steps"),
    ],
)
def test_an_update_that_cannot_be_attacked_is_one_line(
    tmp_path: Path, change: Any, metadata: dict[str, Any], message: str
) -> None:
    recorded_run(tmp_path, scenario_of())
    _edit(tmp_path, change, **metadata)
    with pytest.raises(LeakageError, match=message) as error:
        read_recorded(tmp_path, scenario_of(), 1, "a")
    assert "\n" not in str(error.value)


def test_another_architecture_and_missing_global_weights(tmp_path: Path) -> None:
    recorded_run(tmp_path, scenario_of())
    with pytest.raises(LeakageError, match="does not fit the scenario's model"):
        read_recorded(tmp_path, scenario_of(**{"model.width": 5}), 1, "a")
    (tmp_path / "recorded" / "1" / "global.weights.safetensors").unlink()
    with pytest.raises(LeakageError, match="global weights of round 1 are missing"):
        read_recorded(tmp_path, scenario_of(), 1, "a")


def test_other_data_than_those_of_the_run(tmp_path: Path) -> None:
    scenario = scenario_of()
    recorded_run(tmp_path, scenario)
    _edit(tmp_path, lambda update: update, num_examples=99)
    with pytest.raises(LeakageError, match="trained on 99 images, and the data now give it 6"):
        truth_of(scenario, read_recorded(tmp_path, scenario, 1, "a"), dataset().site("a"))
