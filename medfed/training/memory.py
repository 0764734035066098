"""What training keeps in memory, from an image or two."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from medfed.config import Scenario
from medfed.models.initial import initial_model

_PER_PARAMETER = 4  # itself, its gradient, and two moments of the optimizer
_PER_ACTIVATION = 2  # itself and its gradient
_TRIED = 2  # images: of one, BatchNorm in training has no variance where a layer's output is a single pixel


def saved_bytes(forward: Callable[[], object], own: Iterable[Tensor]) -> int:
    """What ``forward`` keeps for a backward pass, ``own`` tensors not counted, each piece of memory once."""
    known = {value.untyped_storage().data_ptr() for value in own}
    found: dict[int, int] = {}

    def note(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        kept = forward()
    del kept
    return sum(found.values())


def training_bytes(scenario: Scenario) -> int:
    """About what the tensors of one site's training take: parameters, optimizer, and a batch's activations."""
    task, model = scenario.model_task, initial_model(scenario)
    images = torch.zeros(_TRIED, task.channels, task.image_size, task.image_size)
    parameters = list(model.parameters())
    with torch.random.fork_rng(devices=[]):  # dropout
        activations = saved_bytes(lambda: model(images), parameters) // _TRIED
    weights = sum(value.numel() * value.element_size() for value in parameters)
    return _PER_PARAMETER * weights + _PER_ACTIVATION * activations * scenario.training.batch_size
