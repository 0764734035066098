"""What an update's buffers and statistics tell. Oracles: BatchNorm's own statistics; counts and entries by hand."""

from pathlib import Path

import torch
from torch.nn import functional

from medfed.models.initial import initial_weights, trained_entries
from privacy.inversion.observation import require_sound
from privacy.leakage.control import undefended
from privacy.leakage.observed import observe, within_reach
from privacy.leakage.statistics import batch_means, relative_error, told_buffers, true_batch_means
from tests.privacy.leakage.recorded_run import NORMED, opened


def test_statistics_of_one_step_give_the_mean_of_the_batch_away(tmp_path: Path) -> None:
    """Against the means of what enters each layer, of the true images."""
    scenario, recorded, truth, data = opened(tmp_path, **NORMED, **{"training.batch_size": 2})
    model = observe(scenario, recorded, truth, data).model
    found = batch_means(model, recorded.weights, recorded.change)
    expected = true_batch_means(model, recorded.weights, truth.images)
    assert found.keys() == expected.keys()
    assert max(relative_error(found[layer], expected[layer]) for layer in found) < 1e-5
    wrong = true_batch_means(model, recorded.weights, truth.images.flip(2))
    assert max(relative_error(found[layer], wrong[layer]) for layer in found) > 1e-3


ONE_PIXEL = {"model": {"name": "tests.privacy.leakage.attackers:Pooled"}, "federation.batch_norm": "average"}


def test_a_network_of_maps_of_one_pixel_has_a_control_and_statistics(tmp_path: Path) -> None:
    """BatchNorm sees one value per channel of one image: the control of one image has the running statistics."""
    scenario, recorded, truth, data = opened(tmp_path, **ONE_PIXEL, **{"training.batch_size": 2})
    full = observe(scenario, recorded, truth, data)
    seen, one = undefended(full, truth, 0)
    assert (full.batch_norm, seen.batch_norm) == ("train", "frozen")
    require_sound(seen)
    model = scenario.model(scenario.model_task)
    model.load_state_dict(recorded.weights)
    functional.cross_entropy(model.eval()(one.images), one.labels).backward()
    assert all(torch.allclose(seen.change[n], -p.grad, atol=1e-7) for n, p in model.named_parameters())
    found = true_batch_means(full.model, recorded.weights, one.images)
    assert torch.allclose(found["1"], model[0](one.images).flatten(), atol=1e-6)


def test_buffers_that_tell_something_are_named_and_kept_ones_are_not(tmp_path: Path) -> None:
    scenario, recorded, truth, data = opened(tmp_path, **NORMED)
    model = observe(scenario, recorded, truth, data).model
    told = told_buffers(model, recorded.change)
    assert told
    assert all("running_" in name for name in told)
    trained = trained_entries(scenario)
    silent = {n: v if n in trained else torch.zeros_like(v) for n, v in recorded.change.items()}
    assert told_buffers(model, silent) == ()
    assert batch_means(model, recorded.weights, silent) == {}
    kept = {n: v for n, v in recorded.change.items() if n in trained}
    assert batch_means(model, recorded.weights, kept) == {}


def test_entries_that_never_travel_are_at_their_initial_values(tmp_path: Path) -> None:
    scenario, recorded, truth, data = opened(tmp_path, **{"model.norm": "batch", "federation.batch_norm": "local"})
    assert not any("running_" in name for name in recorded.change)
    assert recorded.weights.keys() == initial_weights(scenario).keys()
    full = observe(scenario, recorded, truth, data)
    assert "BatchNorm stays at the site" in " ".join(within_reach(full, scenario, 8, 8).unlike)
