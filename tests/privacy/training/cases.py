"""Tasks, images and losses for tests of private training."""

import torch
from torch import Tensor

from medfed.training.losses import LOSSES
from medfed.types import Task

CLASSES = Task("classification", ("a", "b", "c"), "softmax", 1, 28)
PIXELS = Task("segmentation", ("back", "front"), "sigmoid", 1, 16)
PIXELS_SOFTMAX = Task("segmentation", ("back", "one", "two"), "softmax", 3, 16)


def given(task: Task, number: int = 5) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(1)
    space = (task.image_size, task.image_size)
    images = torch.rand(number, task.channels, *space, generator=draws)
    shape = (number, *space) if task.kind == "segmentation" else (number,)
    return images, torch.randint(0, task.num_classes, shape, generator=draws)


def loss_of(task: Task, name: str = ""):
    chosen = LOSSES[name or ("dice_ce" if task.kind == "segmentation" else "cross_entropy")]()
    return lambda logits, targets: chosen(logits, targets, None)
