"""Local training: plain mini-batch descent on one site's images."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from medfed.config import Scenario
from medfed.devices import seeded_layers
from medfed.errors import DivergedError
from medfed.models.entries import freeze_batch_norm
from medfed.rng import derive_seed, numpy_generator, torch_generator
from medfed.sections import TrainingConfig
from medfed.training.adversarial import TrainingBatch
from medfed.training.precision import forward_in
from medfed.training.predictions import device_of
from medfed.types import ImageSet

Correction = Callable[[nn.Module], None]
"""Called after every backward pass, before the optimizer's step; reads and changes the gradients in place."""


@dataclass(frozen=True)
class LocalResult:
    """What a site reports of its training: steps taken, images it holds, mean loss over the steps."""

    num_steps: int
    num_examples: int
    loss: float


def steps_per_round(training: TrainingConfig, num_images: int) -> int:
    """Optimizer steps that a site with ``num_images`` takes in a round."""
    if training.local_steps is not None:
        return training.local_steps
    assert training.local_epochs is not None
    return training.local_epochs * math.ceil(num_images / training.batch_size)


def lr_scale(training: TrainingConfig, round_number: int) -> float:
    """Factor on the learning rate in round 1..rounds: 1, or half a cosine that ends near 0."""
    if training.schedule == "constant":
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * (round_number - 1) / training.rounds))


def batches(
    num_images: int, batch_size: int, num_steps: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """``num_steps`` batches from shuffled epochs; batches of an epoch differ by at most one image in size."""
    parts = math.ceil(num_images / batch_size)
    done = 0
    while True:
        for positions in np.array_split(generator.permutation(num_images), parts):
            if done == num_steps:
                return
            done += 1
            yield positions.astype(np.int64)


def training_batches(
    images: ImageSet, scenario: Scenario, site: str, round_number: int, num_steps: int
) -> Iterator[tuple[Float[Tensor, "batch channel height width"], Int[Tensor, "batch ..."]]]:
    """Transformed images and targets of every step of a site's round; the streams are named by site and round."""
    training = scenario.training
    noise = torch_generator(scenario.seed, site, round_number, "transforms")
    order = numpy_generator(scenario.seed, site, round_number, "batches")
    for positions in batches(len(images), training.batch_size, num_steps, order):
        inputs, targets = images.batch(positions)
        for transform in training.transforms:
            inputs, targets = transform(inputs, targets, noise)
        yield inputs, targets


def mean_loss(total: float, num_steps: int, site: str, round_number: int) -> float:
    """The mean over steps.

    Raises:
        DivergedError: it is not finite.
    """
    mean = total / num_steps
    if not math.isfinite(mean):
        where = f"site {site}, round {round_number}"
        raise DivergedError(f"{where}: the training loss is {mean}; lower training.optimizer.lr")
    return mean


def train_local(
    model: nn.Module,
    images: ImageSet,
    scenario: Scenario,
    site: str,
    round_number: int,
    num_steps: int | None = None,
    correct: Correction | None = None,
) -> LocalResult:
    """Train ``model`` in place for one round.

    Args:
        model: holds the round's starting weights.
        images: the site's training images.
        scenario: batch size, optimizer, loss, transforms, schedule, adversarial training.
        site: names the random streams, so that a site's draws do not depend on the others.
        round_number: 1..rounds.
        num_steps: optimizer steps; by default what the scenario asks of a site with so many images.
        correct: changes the gradients before each step, as FedProx and SCAFFOLD do.

    Raises:
        DivergedError: the loss is not finite.
    """
    training = scenario.training
    steps = steps_per_round(training, len(images)) if num_steps is None else num_steps
    device = device_of(model)
    counts = torch.tensor(images.class_counts(len(scenario.task.classes)))
    optimizer = training.optimizer(model.parameters(), lr_scale(training, round_number))
    noise = torch_generator(scenario.seed, site, round_number, "adversarial")
    task = scenario.model_task
    total = torch.zeros((), dtype=torch.float64, device=device)  # read once: a GPU would wait at every step

    def forward(given: Tensor) -> Tensor:
        with forward_in(training.precision, device):
            logits: Tensor = model(given)
        return logits.float()

    model.train()
    if scenario.federation.batch_norm == "frozen":
        freeze_batch_norm(model)
    with seeded_layers(device, derive_seed(scenario.seed, site, round_number, "layers")):
        for inputs, targets in training_batches(images, scenario, site, round_number, steps):
            optimizer.zero_grad(set_to_none=True)
            of_logits = partial(training.loss, targets=targets.to(device), class_counts=counts)
            batch = TrainingBatch(model, inputs.to(device), forward, of_logits, task, noise)
            loss = training.adversarial(batch)
            loss.backward()
            if correct is not None:
                correct(model)
            optimizer.step()
            total += loss.detach()
    return LocalResult(steps, len(images), mean_loss(float(total), steps, site, round_number))
