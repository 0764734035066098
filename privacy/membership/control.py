"""The positive control: models that learned few images by heart. Attacks that miss those are too weak to clear anybody.

The images are the run's own, with wrong labels (in segmentation: each with the next one's mask), learned beside others
with their right ones. Nobody who did not see such an image in training would give it that label. A target and as many
shadows as the audit has learn random halves of them, by a network of two layers on the pixels, which has more weights
than needed: what is in doubt is the attack, its shadows and the number of images, not the run's architecture.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor, nn

from medfed.audit.contract import AuditContext
from medfed.rng import derive_seed
from privacy.membership.confidence import confidence
from privacy.membership.contract import MembershipAttack, Scores, Signals
from privacy.membership.pool import Pool
from privacy.membership.roc import tpr_at

NUM_BESIDE = 300
"""Images with their right labels, at most."""

_SIDE = 32
"""Pixels per side that the network sees, at most."""

_WIDTH = 128
_LEARNING_RATE = 1e-3
_LEAST_SPREAD = 1e-3
"""Added to the spread of a pixel over the images: one that is always black stays 0."""


class _Material(NamedTuple):
    """What is learned: images whose membership is asked, with wrong labels, and others with right ones."""

    images: Float[Tensor, "asked value"]
    labels: Int[Tensor, "asked ..."]
    beside: Float[Tensor, "beside value"]
    right: Int[Tensor, "beside ..."]


def control_tpr(
    context: AuditContext,
    pool: Pool,
    attacks: Sequence[MembershipAttack],
    fpr: float,
    num_images: int,
    num_shadows: int,
    num_steps: int,
) -> float:
    """The largest share of members that an attack names at a false positive rate of ``fpr``.

    Args:
        context: of the audit.
        pool: whose images are used.
        attacks: to try; the best counts.
        fpr: in (0, 1).
        num_images: half of them are learned.
        num_shadows: even.
        num_steps: of training.
    """
    material = _material(context, pool, num_images)
    inside = [_half(context, len(material.images), number) for number in range(num_shadows + 1)]
    found = []
    for number, part in enumerate(inside):
        context.progress(f"control {number + 1} of {len(inside)}", number / len(inside))
        seed = derive_seed(context.seed, "membership control", number)
        found.append(_learned(material, part, context.task.num_classes, num_steps, seed))
    signals, members = Signals(found[0], np.stack(found[1:]), np.stack(inside[1:])), inside[0]
    scores = [attack(signals) for attack in attacks]
    return max(tpr_at(each[members], each[~members], fpr) for each in scores)


def _half(context: AuditContext, num_images: int, number: int) -> Bool[ndarray, " image"]:
    """What model ``number`` learns: 0 is the target, shadows 2 j - 1 and 2 j are each other's complement."""
    order = context.numpy_generator("membership", "control", (number + 1) // 2).permutation(num_images)
    inside = np.zeros(num_images, dtype=bool)
    inside[order[: num_images // 2]] = True
    return inside if number % 2 or number == 0 else ~inside


def _material(context: AuditContext, pool: Pool, num_images: int) -> _Material:
    order = context.numpy_generator("membership", "control").permutation(len(pool.images))
    images, labels = pool.images.batch(order[: num_images + NUM_BESIDE])
    if max(images.shape[-2:]) > _SIDE:
        images = nn.functional.adaptive_avg_pool2d(images, _SIDE)
    if labels.ndim > 1:
        labels = nn.functional.interpolate(labels[:, None].float(), images.shape[-2:])[:, 0].long()
    values = images.flatten(1)
    values = (values - values.mean(dim=0)) / (values.std(dim=0) + _LEAST_SPREAD)
    asked = labels[:num_images]
    wrong = (asked + 1) % context.task.num_classes if labels.ndim == 1 else asked.roll(1, dims=0)
    return _Material(values[:num_images], wrong, values[num_images:], labels[num_images:])


def _learned(material: _Material, part: Bool[ndarray, " image"], num_classes: int, num_steps: int, seed: int) -> Scores:
    """How sure a network is of all images in question that has learned the ``part``."""
    chosen, pixels = torch.from_numpy(part), material.labels.shape[1:]
    inputs = torch.cat([material.images[chosen], material.beside])
    targets = torch.cat([material.labels[chosen], material.right])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(inputs.shape[1], _WIDTH),
            nn.ReLU(),
            nn.Linear(_WIDTH, num_classes * pixels.numel()),
            nn.Unflatten(1, (num_classes, *pixels)),
        )
    optimizer = torch.optim.AdamW(network.parameters(), _LEARNING_RATE)
    for _ in range(num_steps):
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(network(inputs), targets))
        optimizer.step()
    with torch.no_grad():
        return confidence(network(material.images), material.labels).numpy()
