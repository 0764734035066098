"""What every entry of ADVERSARIAL_TRAINING must keep; a new line there is picked up by itself.

Oracles: the Protocol, laws (inside eps and range, nothing else changed, equal draws give equal bits), plain training.
"""

import dataclasses
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medfed.models import MODELS
from medfed.training.adversarial import AdversarialTraining, TrainingBatch
from medfed.training.losses import LOSSES
from medfed.types import Task
from robustness.defences import ADVERSARIAL_TRAINING

TASKS = {
    "softmax": (Task("classification", ("a", "b", "c"), "softmax", 3, 12), "small_cnn", "cross_entropy"),
    "sigmoid": (Task("classification", ("a", "b"), "sigmoid", 1, 12), "small_cnn", "bce"),
    "masks": (Task("segmentation", ("background", "a", "b"), "softmax", 1, 12), "unet", "dice_ce"),
    "mask": (Task("segmentation", ("background", "a"), "sigmoid", 3, 12), "unet", "dice"),
}
every_entry = pytest.mark.parametrize("name", ADVERSARIAL_TRAINING)
BOUNDED = [
    name for name, cls in ADVERSARIAL_TRAINING.items() if "eps_grey_levels" in {f.name for f in dataclasses.fields(cls)}
]
every_attack = pytest.mark.parametrize("name", BOUNDED)
every_task = pytest.mark.parametrize("label", TASKS)


class Spy:
    """A batch on a small model with BatchNorm and dropout; remembers what the model saw, and in which mode."""

    def __init__(self, label: str, norm: str = "batch") -> None:
        self.task, model, loss = TASKS[label]
        generator = torch.Generator().manual_seed(4)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            more = {"dropout": 0.3} if model == "small_cnn" else {"depth": 1}
            self.model: nn.Module = MODELS[model](width=4, norm=norm, **more)(self.task)
        shape = (5,) if self.task.kind == "classification" else (5, 12, 12)
        self.images = torch.rand((5, self.task.channels, 12, 12), generator=generator)
        self.targets = torch.randint(self.task.num_classes, shape, generator=generator)
        self.loss = partial(LOSSES[loss](), targets=self.targets, class_counts=None)
        self.seen: list[tuple[Tensor, bool]] = []
        self.model.train()

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append((images.detach().clone(), self.model.training))
        logits: Tensor = self.model(images)
        return logits

    def batch(self, seed: int = 7) -> TrainingBatch:
        draws = torch.Generator().manual_seed(seed)
        return TrainingBatch(self.model, self.images, self.forward, self.loss, self.task, draws)


def _eps(plugin: Any) -> float:
    return float(getattr(plugin, "eps_grey_levels", 0.0)) / 255


@every_entry
def test_keeps_the_protocol(name):
    assert isinstance(ADVERSARIAL_TRAINING[name](), AdversarialTraining)


@every_task
@every_entry
def test_is_a_finite_scalar_with_a_gradient_for_every_weight(name, label):
    spy = Spy(label)
    loss = ADVERSARIAL_TRAINING[name]()(spy.batch())
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in spy.model.parameters())


@every_task
@every_entry
def test_the_model_sees_images_inside_eps_and_range_only(name, label):
    spy, plugin = Spy(label), ADVERSARIAL_TRAINING[name]()
    plugin(spy.batch())
    for images, _ in spy.seen:
        assert images.shape == spy.images.shape
        assert float(images.min()) >= 0.0
        assert float(images.max()) <= 1.0
        assert float((images - spy.images).abs().max()) <= _eps(plugin) * (1 + 1e-5) + 1e-7


@every_task
@every_attack
def test_changed_images_raise_the_loss_on_average(name, label):
    """An attack that did nothing, or ran downhill, would fail."""
    spy = Spy(label)
    ADVERSARIAL_TRAINING[name]()(spy.batch())
    points = [images for images, training in spy.seen if training][-1]
    spy.model.eval()
    with torch.no_grad():
        clean, moved = spy.model(spy.images), spy.model(points)
    away = (moved.softmax(1) - clean.softmax(1)) if clean.shape[1] > 1 else moved.sigmoid() - clean.sigmoid()
    assert float(away.abs().max()) > 1e-4
    if name != "trades":  # which moves the prediction, whichever way
        assert float(spy.loss(moved)) > float(spy.loss(clean))


@every_task
@every_entry
def test_leaves_weights_gradients_flags_images_and_global_draws_as_they_are(name, label):
    spy = Spy(label, norm="group")
    dict(spy.model.named_modules())["head"].eval()  # one part in a mode of its own, as frozen BatchNorm is
    weights = {key: value.clone() for key, value in spy.model.state_dict().items()}
    modes = [module.training for module in spy.model.modules()]
    images, state = spy.images.clone(), torch.get_rng_state()
    ADVERSARIAL_TRAINING[name]()(spy.batch())
    assert all(torch.equal(value, weights[key]) for key, value in spy.model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in spy.model.parameters())
    assert [module.training for module in spy.model.modules()] == modes
    assert torch.equal(spy.images, images)
    assert torch.equal(torch.get_rng_state(), state)  # dropout is in the head, which does not draw


@every_task
@every_entry
def test_batch_norm_and_dropout_see_the_passes_of_training_only(name, label):
    """Oracle: the same passes in training mode by hand, from the same global state."""
    spy, other = Spy(label), Spy(label)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        ADVERSARIAL_TRAINING[name]()(spy.batch())
        after = torch.get_rng_state()
        assert 1 <= sum(training for _, training in spy.seen) <= 2  # of 1 (none) to 13 passes (trades)
        torch.manual_seed(11)
        for images, training in spy.seen:
            if training:
                other.model(images)
        assert torch.equal(torch.get_rng_state(), after)
    assert all(torch.equal(value, other.model.state_dict()[key]) for key, value in spy.model.state_dict().items())


@every_task
@every_entry
def test_equal_draws_give_equal_bits(name, label):
    losses = []
    for seed in (7, 7, 8):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            losses.append(ADVERSARIAL_TRAINING[name]()(Spy(label).batch(seed)))
    assert torch.equal(losses[0], losses[1])
    assert torch.equal(losses[0], losses[2]) == (name == "none")


@every_task
@every_attack
def test_a_wider_ball_is_worse(name, label):
    """Law: the maximum over a larger set. Without dropout, which the attack does not know."""
    found = []
    for eps in (0.0, 2.0, 8.0):
        spy = Spy(label, norm="group")
        for module in spy.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        found.append(ADVERSARIAL_TRAINING[name](eps_grey_levels=eps)(spy.batch()).item())
    assert found[0] < found[1] < found[2]
