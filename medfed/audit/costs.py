"""What a section costs, in seconds of a reference processor, from counts alone.

No clock is read: a plan that followed one would give other figures on another day. One core of a current x86 server
does about 3 x 10^10 operations of such networks a second, and an image has a fixed price besides; a slower machine, or
one with other work, takes longer over the same plan.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from medfed.audit.contract import AuditContext

FLOPS = 3e10
"""Floating-point operations per second, a multiplication and an addition being two."""

PER_IMAGE = 2e-5
"""Seconds of an image's pass besides, for reading and handing it on."""

GRADIENT = 3
"""Passes that a gradient takes: there, and back through weights and activations."""


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


def num_tests(context: AuditContext, limit: int | None = None) -> int:
    """Test images over all sites; with a limit, at most so many and one of a patient."""
    sets = context.test_sets().values()
    if limit is None:
        return sum(map(len, sets))
    return min(limit, len({patient for images in sets for patient in images.patients}))
