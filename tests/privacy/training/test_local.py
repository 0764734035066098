"""A site's round of private training. Oracles: one autograd pass per unit, chi-square, the naive ways as foils."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import Tensor, nn

from medfed.config import Scenario, parse_scenario
from medfed.errors import SiteError
from medfed.models.initial import initial_model
from medfed.params import difference, get_weights
from medfed.training.local import train_local
from medfed.types import ImageSet
from privacy.noise import seeded_normal
from privacy.training.backends import BACKENDS
from privacy.training.local import train_private
from privacy.training.plan import round_plan
from privacy.training.randomness import Randomness, seeded_randomness
from privacy.training.scenario import backend_of

TEXT = """
    name = "private"
    model = { name = "small_cnn", width = 2 }
    task = { kind = "classification", classes = ["a", "b"] }
    data = { image_size = 8 }
    training = { rounds = 6, local_steps = 1, batch_size = 4, loss = "cross_entropy" }
    federation = { sites = ["s0", "s1"] }
    [privacy]
    mechanism = { name = "dp_sgd", clip = 1.0, noise_multiplier = 1.0 }
"""
SGD = {"name": "sgd", "lr": 1.0}


def scenario(**changes: Any) -> Scenario:
    return parse_scenario(TEXT).replace(**{"training.optimizer": SGD, **changes})


def images(number: int = 12, patients: int = 12) -> ImageSet:
    draws = np.random.default_rng(1)
    pixels = draws.integers(0, 256, (number, 1, 8, 8), dtype=np.uint8)
    rows = np.arange(number, dtype=np.int64)
    names = tuple(str(i % patients) for i in rows)
    return ImageSet(pixels, draws.integers(0, 2, number), rows, names, tuple(map(str, rows)))


def silent(number: int) -> np.ndarray:
    return np.zeros(number)


def everyone(number: int) -> np.ndarray:
    return np.zeros(number)


def nobody(number: int) -> np.ndarray:
    return np.full(number, 0.999999)


def draws(normal=silent, uniform=everyone) -> Randomness:
    return Randomness(normal, uniform, torch.Generator().manual_seed(1), 7)


def trained(one: Scenario, given: ImageSet, randomness: Randomness, correct=None) -> tuple[Tensor, Any, nn.Module]:
    """What changed of the trained parameters, the result, the model."""
    model = initial_model(one)
    before = get_weights(model)
    result = train_private(model, given, one, "s0", 1, randomness, correct)
    change = difference(get_weights(model), before)
    return torch.cat([change[name].flatten() for name, _ in model.named_parameters()]), result, model


def unit_gradients(one: Scenario, given: ImageSet, units: list[list[int]]) -> list[Tensor]:
    model = initial_model(one).train()
    found = []
    for unit in units:
        inputs, targets = given.batch(np.array(unit))
        losses = [one.training.loss(model(x[None]), y[None], None) for x, y in zip(inputs, targets, strict=True)]
        parts = torch.autograd.grad(sum(losses), list(model.parameters()))
        found.append(torch.cat([part.flatten() for part in parts]))
    return found


@pytest.mark.parametrize("memory_mb", [1, 512])
@pytest.mark.parametrize(("unit", "clip"), [("record", 0.1), ("record", 1e6), ("patient", 0.1), ("patient", 1e6)])
def test_a_step_without_noise_is_the_sum_of_clipped_units_over_the_expected_number(unit, clip, memory_mb):
    mechanism = {"name": "dp_sgd", "clip": clip, "noise_multiplier": 1.0, "unit": unit, "memory_mb": memory_mb}
    one, given = scenario(**{"privacy.mechanism": mechanism}), images(12, 5)
    units = [[i] for i in range(12)] if unit == "record" else [[i for i in range(12) if i % 5 == p] for p in range(5)]
    found, result, _ = trained(one, given, draws())
    gradients = unit_gradients(one, given, units)
    clipped = sum(g * min(1.0, clip / float(g.norm())) for g in gradients)
    assert torch.allclose(found, -clipped / 4, rtol=1e-3, atol=1e-6)
    assert (result.num_steps, result.num_examples) == (1, 12)


@pytest.mark.parametrize(("unit", "patients"), [("record", 6), ("patient", 2)])
def test_augmentations_of_an_image_are_averaged_before_the_clip(unit, patients):
    """Foil: each augmentation clipped by itself, so that one image moves the sum by three times the clip."""
    mechanism = {"name": "dp_sgd", "clip": 0.05, "noise_multiplier": 1.0, "unit": unit, "multiplicity": 3}
    one, given = scenario(**{"privacy.mechanism": mechanism, "training.transforms": ("noise",)}), images(6, patients)
    found, result, _ = trained(one, given, draws())
    units = [[i] for i in range(6)] if unit == "record" else [[0, 2, 4], [1, 3, 5]]
    order = np.repeat(np.concatenate(units), 3)
    (transform,) = one.training.transforms
    inputs, targets = transform(*given.batch(order), torch.Generator().manual_seed(1))  # as in draws()
    model = initial_model(one).train()
    losses = [one.training.loss(model(x[None]), y[None], None) for x, y in zip(inputs, targets, strict=True)]
    views = [torch.autograd.grad(loss, list(model.parameters()), retain_graph=True) for loss in losses]
    rows = torch.stack([torch.cat([part.flatten() for part in view]) for view in views])
    means = rows.reshape(len(units), -1, rows.shape[1]).sum(1) / 3
    clipped = sum(g * min(1.0, 0.05 / float(g.norm())) for g in means)
    expected_units = min(4, len(units))
    assert torch.allclose(found, -clipped / expected_units, rtol=1e-3, atol=1e-6)
    naive = sum(g * min(1.0, 0.05 / float(g.norm())) for g in rows)
    assert float(naive.norm()) > 2 * float(clipped.norm())
    assert result.loss == pytest.approx(float(sum(losses).detach()) / 3 / (6 * expected_units / len(units)), rel=1e-4)


def test_an_empty_step_adds_noise_and_counts():
    """Naive: it is skipped, which tells that nobody was drawn, and the accountant has fewer steps than promised."""
    one = scenario(**{"training.local_steps": 5})
    asked: list[int] = []

    def normal(number: int) -> np.ndarray:
        asked.append(number)
        return seeded_normal(3, "noise", len(asked))(number)

    found, result, model = trained(one, images(), draws(normal, nobody))
    number = sum(value.numel() for value in model.parameters())
    assert result.num_steps == 5
    assert sum(asked) == 5 * number
    assert result.loss == 0.0
    square = float((found.double() / (5**0.5 / 4)).square().sum())  # five steps of deviation z C / B
    low, high = chi2.ppf([1e-6, 1 - 1e-6], number)
    assert low < square < high


def test_noise_is_what_is_claimed_whatever_was_drawn():
    mechanism = {"name": "dp_sgd", "clip": 0.3, "noise_multiplier": 2.0}
    one = scenario(**{"privacy.mechanism": mechanism})
    for uniform in (everyone, nobody, np.random.default_rng(4).random):
        coins = uniform(12)
        noised, _, _ = trained(one, images(), draws(seeded_normal(1, "n"), lambda number, coins=coins: coins))
        query, _, _ = trained(one, images(), draws(silent, lambda number, coins=coins: coins))
        square = float(((noised - query).double() / (0.3 * 2.0 / 4)).square().sum())
        low, high = chi2.ppf([1e-6, 1 - 1e-6], len(query))
        assert low < square < high


def test_neighbours_differ_by_one_clipped_gradient_over_the_expected_number():
    """One image more in the step, the same coins for the rest: naive division by the drawn would move everything."""
    mechanism = {"name": "dp_sgd", "clip": 0.1, "noise_multiplier": 1.0}
    one, given = scenario(**{"privacy.mechanism": mechanism}), images()
    coins = np.where(np.arange(12) < 6, 0.0, 1.0)
    fewer = np.where(np.arange(12) < 5, 0.0, 1.0)
    whole, _, _ = trained(one, given, draws(uniform=lambda number: coins))
    rest, _, _ = trained(one, given, draws(uniform=lambda number: fewer))
    assert float((whole - rest).norm()) <= 0.1 / 4 * (1 + 1e-4)
    alone, _, _ = trained(one, given, draws(uniform=lambda number: np.where(np.arange(12) == 5, 0.0, 1.0)))
    naive = alone * 4 / 1  # the mean over those drawn: one image of one moves it by all of C, not by C / 4
    assert float(naive.norm()) == pytest.approx(0.1, rel=1e-3)


def test_local_epochs_become_as_many_poisson_steps():
    """Naive: shuffled epochs, in which every image is drawn exactly once, accounted for as coins."""
    one = scenario(**{"training.local_epochs": 2, "training.local_steps": None})
    assert round_plan(one.training, 10) == (6, 0.4)
    counted: list[int] = []

    def uniform(number: int) -> np.ndarray:
        coins = np.random.default_rng(len(counted)).random(number)
        counted.append(int((coins < 0.4).sum()))
        return coins

    result = train_private(initial_model(one), images(10), one, "s0", 1, draws(uniform=uniform))
    assert result.num_steps == len(counted) == 6 == train_local(initial_model(one), images(10), one, "s0", 1).num_steps
    assert len(set(counted)) > 1, "batches of epochs have one size"


def test_what_a_strategy_adds_sees_noised_gradients_only():
    one = scenario()
    seen: list[Tensor] = []

    def correct(model: nn.Module) -> None:
        seen.append(torch.cat([value.grad.flatten().clone() for value in model.parameters()]))

    change, _, _ = trained(one, images(), draws(seeded_normal(1, "n"), nobody), correct)
    assert torch.equal(change, -seen[0]) or torch.allclose(change, -seen[0], atol=1e-6)


def test_the_same_draws_give_the_same_bits_and_leave_the_global_generator_alone():
    one = scenario(**{"training.local_steps": 3, "model.dropout": 0.5, "training.transforms": ("flip",)})
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, _, _ = trained(one, images(), seeded_randomness(1, "s0", 1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(trained(one, images(), seeded_randomness(1, "s0", 1))[0], first)
    assert not torch.equal(trained(one, images(), seeded_randomness(1, "s0", 2))[0], first)


def test_frozen_statistics_keep_their_values():
    """Naive: running statistics are sums over images without clip, and travel with the update."""
    changes = {"model.norm": "batch", "federation.batch_norm": "frozen", "training.local_steps": 2}
    one = scenario(**changes)
    model = initial_model(one)
    before = {name: value.clone() for name, value in model.named_buffers()}
    train_private(model, images(), one, "s0", 1, draws())
    assert before
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    naive = initial_model(one.replace(**{"federation.batch_norm": "average"}))
    train_local(naive, images(), one.replace(**{"federation.batch_norm": "average"}), "s0", 1)
    assert any(not torch.equal(value, before[name]) for name, value in naive.named_buffers())


def test_delta_that_would_publish_an_image_is_refused():
    one = scenario(**{"privacy.delta": 0.1})
    with pytest.raises(SiteError, match=r"less than 1 / number of records here = 0\.083"):
        train_private(initial_model(one), images(12), one, "s0", 1, draws())
    train_private(initial_model(one), images(9), one, "s0", 1, draws())


def test_gradients_that_come_out_wrong_on_the_first_batch_are_computed_one_by_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Naive: the round ends, which tells of the images of that batch without noise."""
    one = scenario()
    expected, _, _ = trained(one, images(), draws())
    assert backend_of(one) == "vmap"
    right = BACKENDS["vmap"]

    def of_the_other_class(model, loss, chunk):
        return right(model, lambda logits, targets: loss(logits, 1 - targets), chunk)

    monkeypatch.setitem(BACKENDS, "vmap", of_the_other_class)
    found, _, _ = trained(one, images(), draws())
    assert torch.allclose(found, expected, atol=1e-6)
    assert "vmap: relative error" in caplog.text


def test_the_mean_loss_is_over_the_expected_number_of_images():
    one, given = scenario(), images()
    model = initial_model(one)
    inputs, targets = given.batch(np.arange(12))
    losses = partial(nn.functional.cross_entropy, reduction="sum")(model(inputs), targets).detach()
    _, result, _ = trained(one, given, draws())
    assert result.loss == pytest.approx(float(losses) / 4, rel=1e-5)
