"""Models that cannot be trained as one stack."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from medfed.registry import plugin
from medfed.types import Task


class _Mean(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images - images.mean(dim=0, keepdim=True)


class _Branch(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images if bool(images.sum() > 0) else -images


class _Twice(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.again = self.weight

    def forward(self, images: Tensor) -> Tensor:
        return images * self.weight * self.again


def _network(task: Task, *layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(task.channels * task.image_size**2, task.num_outputs))


@plugin
class MeanOfBatch:
    """Its output for an image depends on the other images."""

    kinds: ClassVar[tuple[str, ...]] = ("classification",)

    def __call__(self, task: Task) -> nn.Module:
        return _network(task, _Mean())


@plugin
class Branches:
    """Looks at values to decide what to compute."""

    kinds: ClassVar[tuple[str, ...]] = ("classification",)

    def __call__(self, task: Task) -> nn.Module:
        return _network(task, _Branch())


@plugin
class Tied:
    """One tensor under two names."""

    kinds: ClassVar[tuple[str, ...]] = ("classification",)

    def __call__(self, task: Task) -> nn.Module:
        return _network(task, _Twice(task.image_size))
