"""The scores of a model at a site, computed once where sites of one process score the same weights on the same images.

A partitioner leaves the official test images whole, so that all sites of such a simulation are scored on them. Scores
are of weights, images and settings alone (:func:`medfed.training.evaluation.evaluate`), not of the site's name, so that
none is another for being computed once.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch

from client.local import warm_model
from medfed.config import Scenario
from medfed.devices import current_device
from medfed.params import set_weights
from medfed.results import Evaluation
from medfed.training.evaluation import evaluate
from medfed.types import ImageSet, Weights


def scored(weights: Weights, images: ImageSet, scenario: Scenario, intervals: bool) -> Evaluation:
    """The metrics of ``weights``, all entries of the model, on ``images``, on the current device."""

    def compute() -> Evaluation:
        model = warm_model(scenario)
        set_weights(model, weights)
        return evaluate(model, images, scenario, ("bootstrap",), intervals)

    if scenario.data.partition.keeps_sites:  # every site has images of its own
        return compute()
    device, data = current_device(), (id(images.images), id(images.targets), images.rows.tobytes())
    return _last(_Question((_digest(weights), data, scenario, intervals, device), compute))


@dataclass(frozen=True)
class _Question:
    """What decides the answer. The call that gives it holds the images, so that no other can take their ``id``."""

    about: tuple[Any, ...]
    answer: Callable[[], Evaluation] = field(compare=False)


@lru_cache(maxsize=1)
def _last(question: _Question) -> Evaluation:
    """The answer to the last question is remembered."""
    return question.answer()


def _digest(weights: Weights) -> bytes:
    content = hashlib.blake2b()
    for name, value in weights.items():
        content.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        content.update(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return content.digest()
