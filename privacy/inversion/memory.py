"""How much of a batch of restarts fits into memory at once."""

import copy

import torch
from torch import Tensor, nn

from privacy.inversion.observation import Observation

_COPIES = 10
"""Tensors of the size of all activations, and of all weights, that one restart holds while its gradient is taken."""


def restarts_at_once(observation: Observation, points: Tensor, max_bytes: int) -> int:
    """Restarts per call, at least one.

    An estimate: :data:`_COPIES` times the activations of all steps plus the weights.

    Args:
        observation: model, image shape and steps.
        points: (restart, slot, channel, *space) candidates.
        max_bytes: the limit.
    """
    if len(points) == 1:
        return 1
    values = activations(observation.model, observation.image_shape) * observation.num_examples
    values += sum(value.numel() for value in observation.weights.values())
    values *= observation.local_steps
    return max(1, min(len(points), max_bytes // (_COPIES * points.element_size() * values)))


def activations(model: nn.Module, image_shape: tuple[int, ...]) -> int:
    """Values that the layers of the model put out for one image."""
    probe, counted = copy.deepcopy(model).eval(), []
    for layer in probe.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _, __, output: counted.append(output.numel()))
    with torch.no_grad():
        probe(torch.zeros(1, *image_shape, dtype=next(probe.parameters()).dtype))
    return sum(counted)
