"""DP-SGD at a site (Abadi et al., CCS 2016, Algorithm 1): each step is noised, so that all that follows is as well.

    g = (sum over the units drawn of clip(G_u, C) + N(0, (z C)^2)) / (q N),    x <- optimizer(x, g)

Every one of the N units is drawn by a coin of its own with probability q. The optimizer with its state, what a
strategy adds to g, compression and aggregation see nothing but g: post-processing. An image's gradient may be the mean
over several augmentations of it, which are clipped together with all else of its unit.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from medfed.config import Scenario
from medfed.devices import seeded_layers
from medfed.errors import SiteError
from medfed.training.local import Correction, LocalResult, lr_scale
from medfed.training.losses.contract import Loss
from medfed.training.predictions import device_of
from medfed.types import ImageSet
from privacy.mechanisms.contract import TrainingMechanism
from privacy.training.backends import BACKENDS
from privacy.training.backends.contract import SampleLoss, trained
from privacy.training.choice import fault
from privacy.training.clipping import Clipped, Clipper
from privacy.training.memory import images_at_once
from privacy.training.plan import round_plan
from privacy.training.randomness import Randomness
from privacy.training.sampling import poisson_steps
from privacy.training.scenario import backend_of
from privacy.training.suitability import training_mode
from privacy.training.units import Positions, units_of

log = logging.getLogger(__name__)

_CHECKED = 4  # images of the first batch
_COUNTS = 0.1  # of the clip: the direction of gradients that are longer is compared


@dataclass(frozen=True, eq=False)
class _Round:
    """What stays the same over the steps of a site's round."""

    model: nn.Module
    images: ImageSet
    scenario: Scenario
    mechanism: TrainingMechanism
    randomness: Randomness
    loss: SampleLoss


def train_private(
    model: nn.Module,
    images: ImageSet,
    scenario: Scenario,
    site: str,
    round_number: int,
    randomness: Randomness,
    correct: Correction | None = None,
) -> LocalResult:
    """Train ``model`` in place for one round; buffers keep their values.

    The loss of the result has no noise and must stay at the site; it is not finite where one image's is not, which
    ends nothing: that a round was given up would tell of the image.

    Args:
        model: holds the weights to start from.
        images: the site's training images.
        scenario: its mechanism is a :class:`TrainingMechanism`.
        site: for messages.
        round_number: 1..rounds.
        randomness: coins, noise, augmentation, dropout.
        correct: changes the noised gradients before each step; reads no image.

    Raises:
        SiteError: delta is too large for so few units.
    """
    training, mechanism = scenario.training, scenario.privacy.mechanism
    units = units_of(images, mechanism.unit)
    _require_delta(scenario.privacy.delta, len(units), mechanism.unit)
    steps, rate = round_plan(training, len(units))
    training_mode(model, scenario.federation.batch_norm == "frozen")
    work = _Round(model, images, scenario, mechanism, randomness, view_loss(training.loss, mechanism.multiplicity))
    drawn = list(poisson_steps(units, rate, steps, randomness.uniform))
    optimizer = training.optimizer(model.parameters(), lr_scale(training, round_number))
    total = 0.0
    with seeded_layers(device_of(model), randomness.layers), _same_buffers(model), _clipper(work, drawn) as clipper:
        for batch in drawn:
            clipped = _clipped(work, clipper, batch)
            _descend(work, clipped, rate * len(units), optimizer, correct)
            total += clipped.loss
    expected_images = rate * len(images)
    return LocalResult(steps, len(images), total / expected_images / steps)


def view_loss(loss: Loss, multiplicity: int) -> SampleLoss:
    """The loss of one of ``multiplicity`` augmentations of an image; they sum to the mean over them."""
    if multiplicity == 1:
        return partial(loss, class_counts=None)
    return lambda logits, targets: loss(logits, targets, None) / multiplicity


def _require_delta(delta: float, number: int, unit: str) -> None:
    if delta >= 1.0 / number:
        raise SiteError(
            f"privacy.delta {delta:g} allows a {unit} to be published outright; expected less than 1 / number of "
            f"{unit}s here = {1.0 / number:.2g}"
        )


@contextmanager
def _clipper(work: _Round, drawn: Sequence[Sequence[Positions]]) -> Iterator[Clipper]:
    """The back end, after it was compared with single images of the first batch that has any.

    Where it is wrong on them, one backward pass per image takes its place: to give up would tell of the images.
    """
    name = backend_of(work.scenario)
    first = next((batch for batch in drawn if batch), [np.zeros(1, dtype=np.int64)])
    positions, owners = _laid_out(first)
    device = device_of(work.model)
    inputs, targets = (value.to(device) for value in work.images.batch(positions[:_CHECKED]))
    bound = _COUNTS * min(work.mechanism.clip, 1.0)
    if wrong := fault(name, work.model, work.loss, inputs, targets, owners[:_CHECKED].to(device), bound):
        log.warning("gradients of single images are wrong: %s: %s; loop takes its place in this round", name, wrong)
        name = "loop"
    chunk = images_at_once(work.model, work.loss, inputs, targets, work.mechanism.memory_mb)
    with BACKENDS[name](work.model, work.loss, chunk) as clipper:
        yield clipper


def _clipped(work: _Round, clipper: Clipper, batch: Sequence[Positions]) -> Clipped:
    """The sum of the clipped gradients of the units of one step; zero where it has none."""
    if not batch:
        return Clipped({name: torch.zeros_like(value) for name, value in trained(work.model).items()}, 0.0)
    positions, owners = _laid_out(batch)
    views = work.mechanism.multiplicity
    inputs, targets = work.images.batch(np.repeat(positions, views))
    for transform in work.scenario.training.transforms:
        inputs, targets = transform(inputs, targets, work.randomness.transforms)
    device = device_of(work.model)
    owners = owners.repeat_interleave(views).to(device)
    return clipper(inputs.to(device), targets.to(device), owners, work.mechanism.clip)


def _laid_out(batch: Sequence[Positions]) -> tuple[Positions, Tensor]:
    """The images of all units one after the other, and which unit each is of."""
    owners = np.repeat(np.arange(len(batch)), [len(positions) for positions in batch])
    return np.concatenate(batch), torch.from_numpy(owners)


def _descend(
    work: _Round, clipped: Clipped, expected: float, optimizer: torch.optim.Optimizer, correct: Correction | None
) -> None:
    total = {name: value.cpu() for name, value in clipped.total.items()}  # where the noise is drawn
    noised = work.mechanism.noisy_gradient(total, expected, work.randomness.normal)
    for name, parameter in trained(work.model).items():
        parameter.grad = noised[name].to(parameter.device)
    if correct is not None:
        correct(work.model)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@contextmanager
def _same_buffers(model: nn.Module) -> Iterator[None]:
    """Whatever a layer writes into its buffers is not told."""
    before = {name: value.clone() for name, value in model.named_buffers()}
    yield
    for name, value in model.named_buffers():
        value.copy_(before[name])
