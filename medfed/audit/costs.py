"""What a section costs, in seconds of a reference processor, from counts alone.

No clock is read: a plan that followed one would give other figures on another day. One core of a current x86 server
does about 4 x 10^10 operations of such networks a second, and an image has a fixed price besides; a slower machine, or
one with other work, takes longer over the same plan.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from medfed.audit.contract import AuditContext
from medfed.config import Scenario

FLOPS = 4e10
"""Floating-point operations per second, a multiplication and an addition being two: a U-Net of 6.5 x 10^8 operations an
image took 16 ms, a small CNN of 1.5 x 10^7 in batches of 64 took 0.41 ms."""

PER_IMAGE = 2e-5
"""Seconds of an image's pass besides, for reading and handing it on."""

GRADIENT = 2
"""Passes that the gradient of an image takes: there, and back through activations (1.9 and 2.1 on those two)."""

_TRAINING = {"float32": 2.5, "bfloat16": 1.3}
"""Passes that a training step takes for an image, there and back through weights and activations (2.4 and 2.4 on those
two; in bfloat16, on a processor that has it, 1.2 and 1.5)."""


@dataclass(frozen=True)
class Cost:
    """What a section takes, and how it can do with less.

    Attributes:
        seconds: of a section in a context.
        cheaper: settings, each replacing the one before, the last the cheapest that still says something.
    """

    seconds: Callable[[Any, AuditContext], float]
    cheaper: tuple[Mapping[str, Any], ...] = ()


def pass_seconds(context: AuditContext) -> float:
    """Of one image through the model; 0 where there is no single model, as no section will pass any."""
    if context.module is None:
        return 0.0
    task = context.task
    image = torch.zeros(1, task.channels, task.image_size, task.image_size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        context.module(image)
    return int(counter.get_total_flops()) / FLOPS + PER_IMAGE


def training_passes(scenario: Scenario, sizes: Mapping[str, float]) -> float:
    """Passes that one federated run takes, in :func:`pass_seconds`.

    Args:
        scenario: of the run.
        sizes: site that trains -> images it trains on.
    """
    training = scenario.training
    steps = training.local_steps
    images = sum(steps * training.batch_size if steps else (training.local_epochs or 1) * n for n in sizes.values())
    return training.rounds * images * _TRAINING[training.precision]


def num_tests(context: AuditContext, limit: int | None = None) -> int:
    """Test images over all sites; with a limit, at most so many and one of a patient."""
    sets = context.test_sets().values()
    if limit is None:
        return sum(map(len, sets))
    return min(limit, len({patient for images in sets for patient in images.patients}))
