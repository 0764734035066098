"""How much memory candidates take, and how many of them fit at once."""

import copy

import torch
from torch import Tensor, nn

from privacy.inversion.observation import Observation
from privacy.inversion.schedule import schedule_of

_COPIES = 10
"""Tensors of the size of all activations, and of all weights, that one restart holds while its gradient is taken."""


def restarts_at_once(observation: Observation, points: Tensor, max_bytes: int) -> int:
    """Restarts per call, at least one: whether even one fits is for the caller to see to (:func:`restart_bytes`).

    Args:
        observation: model, image shape and steps.
        points: (restart, slot, channel, *space) candidates.
        max_bytes: the limit.
    """
    if len(points) == 1:
        return 1
    return max(1, min(len(points), max_bytes // restart_bytes(observation, points.element_size())))


def restart_bytes(observation: Observation, element_size: int = 4) -> int:
    """What one restart takes, an estimate: :data:`_COPIES` times the activations of all steps plus the weights.

    Args:
        observation: model, image shape, images and steps.
        element_size: bytes of a number.
    """
    steps = schedule_of(observation).steps
    values = activations(observation.model, observation.image_shape) * sum(map(len, steps))
    values += sum(value.numel() for value in observation.weights.values()) * len(steps)
    return _COPIES * element_size * values


def activations(model: nn.Module, image_shape: tuple[int, ...]) -> int:
    """Values that the layers of the model put out for one image."""
    probe, counted = copy.deepcopy(model).eval(), []
    for layer in probe.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _, __, output: counted.append(output.numel()))
    with torch.no_grad():
        probe(torch.zeros(1, *image_shape, dtype=next(probe.parameters()).dtype))
    return sum(counted)
