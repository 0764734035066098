"""What DP-SGD needs of a model: that an image's gradient is its own, and that nothing else of the image is kept.

A layer that mixes the images of a batch gives every image a part in all gradients, so that clipping one bounds
nothing; a buffer that follows the images (running statistics) leaves the site without clip and noise.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from medfed.models.entries import batch_norm_entries, freeze_batch_norm
from medfed.types import Task
from privacy.training.clipping import Inputs, Targets

_NUM_IMAGES = 3
_REMEDY = 'expected norm = "group" or "instance"'


def unsuited(model: nn.Module, frozen: bool, images: Inputs) -> str:
    """Why ``model`` cannot be trained privately, and what to choose; empty if it can.

    Args:
        model: is not changed.
        frozen: BatchNorm layers use, and keep, the statistics that they have.
        images: two or more to try it on.
    """
    if batch_norm_entries(model) and not frozen:
        return f'BatchNorm mixes the images of a batch; {_REMEDY}, or federation.batch_norm = "frozen"'
    trial = copy.deepcopy(model)
    training_mode(trial, frozen)
    with torch.no_grad(), without_draws(trial), torch.random.fork_rng(devices=[]):
        before = {name: value.clone() for name, value in trial.named_buffers()}
        together = trial(images)
        moved = [name for name, value in trial.named_buffers() if not torch.equal(value, before[name])]
        alone = torch.cat([trial(image[None]) for image in images])
    if moved:
        return f"{moved[0]} follows the images and would leave the site without noise; {_REMEDY} without statistics"
    if not torch.allclose(together, alone, rtol=1e-3, atol=1e-4):
        return f"its output for an image depends on the other images of the batch; {_REMEDY}, or another model"
    return ""


def training_mode(model: nn.Module, frozen: bool) -> None:
    """Every layer trains, but BatchNorm whose statistics are ``frozen``."""
    model.train()
    if frozen:
        freeze_batch_norm(model)


@contextmanager
def without_draws(model: nn.Module) -> Iterator[None]:
    """Dropout and the like off: modules without parameters and buffers of their own do as in evaluation."""
    active = [module for module in model.modules() if module.training and not _has_own(module)]
    for module in active:
        module.training = False
    try:
        yield
    finally:
        for module in active:
            module.training = True


def _has_own(module: nn.Module) -> bool:
    return bool([*module.parameters(recurse=False), *module.buffers(recurse=False)])


def trial_images(task: Task) -> tuple[Inputs, Targets]:
    """A few images, the same for everyone, and targets for them."""
    space = (task.image_size, task.image_size)
    images = torch.linspace(0.0, 1.0, _NUM_IMAGES * task.channels * task.image_size**2)
    shape = (_NUM_IMAGES, *space) if task.kind == "segmentation" else (_NUM_IMAGES,)
    return images.reshape(_NUM_IMAGES, task.channels, *space), torch.arange(torch.Size(shape).numel()).reshape(
        shape
    ) % task.num_classes
