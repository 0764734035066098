"""A trainer that trains nothing twice: most runs of the matrix begin alike, and some go on alike to their end.

Rules that leave out the malicious meet the same global weights whatever the attack, all rules do in round 1, and a
colluder trains its accomplices as they train themselves. What an honest site makes of the same weights, images and
seed is the same, bit for bit, so that no figure depends on what is remembered, and the processes share nothing.
"""

import hashlib
from collections import OrderedDict
from functools import lru_cache
from typing import Any

from torch import nn

from medfed.config import Scenario
from medfed.params import get_weights, set_weights
from medfed.registry import plugin
from medfed.training.local import Correction, LocalResult, train_local
from medfed.types import ImageSet, Weights

_MOST = 2000
"""Trainings that a process remembers: ten runs of twenty sites and ten rounds, 110 MB."""


@plugin
class Remembered:
    """Local training as ``[training]`` says; what a strategy corrects is trained anew each time."""

    def __call__(
        self,
        model: nn.Module,
        images: ImageSet,
        scenario: Scenario,
        site: str,
        round_number: int,
        correct: Correction | None = None,
    ) -> LocalResult:
        """Train, or set what came of the same training before."""
        if correct is not None:
            return train_local(model, images, scenario, site, round_number, correct=correct)
        memory, key = _memory(), _key(model, images, scenario, site, round_number)
        if key in memory:
            memory.move_to_end(key)
            result, weights = memory[key]
            set_weights(model, weights)
            return result
        result = train_local(model, images, scenario, site, round_number)
        memory[key] = result, get_weights(model)
        if len(memory) > _MOST:
            memory.popitem(last=False)
        return result


def _key(model: nn.Module, images: ImageSet, scenario: Scenario, site: str, round_number: int) -> tuple[Any, ...]:
    """All that :func:`medfed.training.local.train_local` reads."""
    content = hashlib.blake2b(_digest(images))
    for value in model.state_dict().values():
        content.update(value.numpy().tobytes())
    settings = scenario.model, scenario.model_task, scenario.training, scenario.federation.batch_norm
    return content.digest(), scenario.seed, site, round_number, settings


@lru_cache(maxsize=64)
def _digest(images: ImageSet) -> bytes:
    """Of images and targets; taken once a run."""
    content = hashlib.blake2b(images.images[images.rows].tobytes())
    content.update(images.targets[images.rows].tobytes())
    return content.digest()


@lru_cache(maxsize=1)
def _memory() -> OrderedDict[tuple[Any, ...], tuple[LocalResult, Weights]]:
    """This process's, the oldest first."""
    return OrderedDict()
