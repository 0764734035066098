"""Attacks for tests: one that must succeed, one that cannot, one that is known to be too weak."""

from typing import ClassVar, Literal

import torch
from torch import nn

from medfed.registry import plugin
from medfed.types import Task
from privacy.inversion.contract import Search
from privacy.inversion.descent import descend
from privacy.inversion.terms import Terms
from tests.privacy.leakage.recorded_run import SITES, dataset


@plugin
class Dictionary:
    """Has the training images of both sites, and tries each: an update of one image is explained by its own alone."""

    precision: ClassVar[Literal["float32", "float64"]] = "float32"

    contrast: float = 1.0

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        data = dataset()
        rows = [row for site in SITES for row in data.rows[site]["train"]]
        candidates = torch.from_numpy(data.images[rows]).float().div(255.0)[:, None]
        images, labels = search.start(len(candidates), generator)
        search.evaluate(self.contrast * candidates.expand_as(images), labels, Terms())


@plugin
class Blind:
    """Looks at one image of noise."""

    precision: ClassVar[Literal["float32", "float64"]] = "float32"

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        search.evaluate(*search.start(1, generator), Terms())


@plugin
class Descent:
    """Inverting gradients with a total variation that stays as it is; breaching's default, 0.2, is too much."""

    precision: ClassVar[Literal["float32", "float64"]] = "float32"

    total_variation: float = 0.2
    iterations: int = 150

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        images, labels = search.start(1, generator)
        terms = Terms(total_variation=self.total_variation)
        descend(search, images, labels, lambda done: terms, iterations=self.iterations, step=0.05, signed=False)


@plugin
class Flat:
    """One linear layer: the easiest of all to invert."""

    def __call__(self, task: Task) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(task.image_size**2, task.num_outputs))


@plugin
class Pooled:
    """A convolution over the whole image, and BatchNorm on the one pixel that is left."""

    def __call__(self, task: Task) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(task.channels, 4, task.image_size),
            nn.BatchNorm2d(4),
            nn.Flatten(),
            nn.Linear(4, task.num_outputs),
        )


@plugin
class Convolutions:
    """Two strided convolutions with sigmoids and a linear layer, after the LeNet of Zhu et al. (NeurIPS 2019)."""

    kinds: ClassVar[tuple[str, ...]] = ("classification",)

    width: int = 12

    def __call__(self, task: Task) -> nn.Module:
        """Build the module."""
        side = -(-task.image_size // 2)
        return nn.Sequential(
            nn.Conv2d(task.channels, self.width, 5, stride=2, padding=2),
            nn.Sigmoid(),
            nn.Conv2d(self.width, self.width, 5, padding=2),
            nn.Sigmoid(),
            nn.Flatten(),
            nn.Linear(self.width * side**2, task.num_outputs),
        )
