"""The simulated training. Oracle: medfed's own local training and torch's optimizers on the same batches."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from medfed.config import Scenario, parse_scenario
from medfed.params import difference, get_weights
from medfed.rng import numpy_generator
from medfed.training.local import batches, train_local
from medfed.types import ImageSet
from privacy.inversion.observation import Observation
from privacy.inversion.schedule import Schedule, schedule_of
from privacy.inversion.simulation import Simulation
from tests.privacy.inversion.cases import convolutional, dense, gradient, pictures

OPTIMIZERS = {
    "sgd": '{ name = "sgd", lr = 0.1 }',
    "momentum": '{ name = "sgd", lr = 0.05, momentum = 0.9, weight_decay = 0.01 }',
    "nesterov": '{ name = "sgd", lr = 0.05, momentum = 0.9, nesterov = true }',
    "adamw": '{ name = "adamw", lr = 0.01 }',
}


def scenario(optimizer: str, batch_norm: str) -> Scenario:
    return parse_scenario(f"""
name = "trial"
task = {{ kind = "classification", classes = ["a", "b", "c", "d"] }}
model = "small_cnn"
federation = {{ batch_norm = "{batch_norm}" }}
data = {{ path = "images/labels.csv", image_size = 8 }}
[training]
rounds = 4
local_steps = 5
batch_size = 4
loss = {{ name = "cross_entropy", class_weights = "balanced" }}
optimizer = {optimizer}
schedule = "cosine"
""")


def held(count: int) -> ImageSet:
    images = (pictures(count).numpy() * 255).astype(np.uint8)
    targets = np.arange(count, dtype=np.int64) % 4
    names = tuple(map(str, range(count)))
    return ImageSet(images, targets, np.arange(count), names, names)


def trained(plan: Scenario, model: nn.Module, images: ImageSet, steps: int) -> Observation:
    """What a site sends after local training, as the engine would send it."""
    before = get_weights(model)
    train_local(model, images, plan, "site", 2, num_steps=steps)
    return Observation(
        model=model,
        weights=before,
        change=difference(get_weights(model), before),
        task=plan.model_task,
        image_shape=(1, 8, 8),
        num_examples=len(images),
        batch_size=plan.training.batch_size,
        local_steps=steps,
        optimizer=plan.training.optimizer,
        lr_scale=0.5 * (1 + np.cos(np.pi / 4)),
        loss=plan.training.loss,
        class_counts=torch.tensor(images.class_counts(4)),
        batch_norm="frozen" if plan.federation.batch_norm == "frozen" else "train",
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_norm", ["average", "frozen"])
def test_it_gives_the_change_of_the_real_local_training(optimizer: str, batch_norm: str) -> None:
    plan, images = scenario(OPTIMIZERS[optimizer], batch_norm), held(10)
    model = convolutional(norm=True)
    del model[4]  # dropout: the site's draws are not the attacker's
    seen = trained(plan, model, images, 5)
    order = numpy_generator(plan.seed, "site", 2, "batches")
    steps = tuple(tuple(part.tolist()) for part in batches(10, 4, 5, order))
    inputs, targets = images.batch(np.arange(10))

    def loss_of(logits: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        return seen.loss(logits, given, seen.class_counts)

    schedule = Schedule(steps, (tuple(range(10)),))
    change, running = Simulation(seen, loss_of)(inputs, targets, schedule, watch=True)
    for name, value in seen.parameters.items():
        torch.testing.assert_close(change[name], value, rtol=1e-3, atol=2e-6)
    if batch_norm == "average":
        after = seen.weights["2.running_mean"] + seen.change["2.running_mean"]
        torch.testing.assert_close(running["2"][0], after, rtol=1e-4, atol=1e-6)
        after = seen.weights["2.running_var"] + seen.change["2.running_var"]
        torch.testing.assert_close(running["2"][1], after, rtol=1e-4, atol=1e-6)


def test_one_step_is_the_gradient_by_autograd() -> None:
    images, labels = pictures(3), torch.tensor([0, 1, 3])
    seen = gradient(dense(), images, labels)
    change, _ = Simulation(seen, lambda z, y: seen.loss(z, y, None))(images, labels, schedule_of(seen))
    for name, value in seen.change.items():
        torch.testing.assert_close(change[name], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("fields", "steps", "passes"),
    [
        ({"num_examples": 3, "batch_size": 4, "local_steps": 2}, ((0, 1, 2), (0, 1, 2)), ((0, 1, 2),)),
        ({"num_examples": 3, "batch_size": 2, "local_steps": 1}, ((0, 1),), ((0, 1),)),
        (
            {"num_examples": 3, "batch_size": 2, "local_steps": 3},
            ((0, 1), (2,), (3, 4)),
            ((0, 1, 2), (3, 4)),
        ),
    ],
    ids=["one batch per pass", "a pass cut short", "two passes"],
)
def test_which_slots_enter_which_step(fields: dict[str, Any], steps: object, passes: object) -> None:
    seen = gradient(dense(), pictures(1), torch.tensor([0])).replace(**fields)
    assert schedule_of(seen) == Schedule(steps, passes)
