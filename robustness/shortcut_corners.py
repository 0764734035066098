"""Corners of images: which to exchange with which, the exchange, and a model of which it is known what it reads."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from medfed.types import Task

Images = Float[Tensor, "batch channel height width"]
Labels = Int[Tensor, " batch"]
Rows = Bool[Tensor, " batch"]


def partners(labels: Labels, generator: np.random.Generator) -> tuple[Labels, Labels]:
    """For every image one of another class and one of its own that is not itself, as positions; -1 where none is.

    Which other class is drawn first, so that no class is drawn oftener for having more images.
    """
    of_class = labels.numpy()
    members = {int(label): np.flatnonzero(of_class == label) for label in np.unique(of_class)}
    found = np.full((2, len(labels)), -1, dtype=np.int64)
    for i, label in enumerate(of_class.tolist()):
        others, same = [each for each in members if each != label], members[label][members[label] != i]
        if others:
            found[0, i] = generator.choice(members[others[generator.integers(len(others))]])
        if len(same):
            found[1, i] = generator.choice(same)
    return torch.from_numpy(found[0]), torch.from_numpy(found[1])


def exchanged(images: Images, partner: Images, corner: float) -> Images:
    """``images`` with the four corners of ``partner``, squares of ``corner`` of the shorter side, a pixel at least."""
    height, width = images.shape[-2:]
    side, found = side_of(images, corner), images.clone()
    for rows in (slice(0, side), slice(height - side, height)):
        for columns in (slice(0, side), slice(width - side, width)):
            found[..., rows, columns] = partner[..., rows, columns]
    return found


def side_of(image: Tensor, corner: float) -> int:
    """Of a corner, in pixels; what lies between two corners is a pixel at least."""
    shorter = min(image.shape[-2:])
    return max(1, min(round(corner * shorter), (shorter - 1) // 2))


def some_of_each_class(labels: Labels, part: float, generator: np.random.Generator) -> Rows:
    """About ``part`` of the images of every class, at random; rounded up."""
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in np.unique(labels.numpy()).tolist():
        rows = np.flatnonzero(labels.numpy() == label)
        chosen[generator.permutation(rows)[: math.ceil(part * len(rows))]] = True
    return chosen


class ReadsSomeMarks(nn.Module):
    """Reads the class off the brightness of the first corner in some images, and off the middle in the others.

    Two pixels in the middle belong to the control: the first says which of both is read, the second is the class.
    """

    def __init__(self, task: Task, corner: float) -> None:
        super().__init__()
        self.task, self.corner = task, corner

    def planted(self, images: Images, labels: Labels, read: Rows) -> Images:
        """``images`` with the mark, its corner as bright as the class is high, and the two pixels."""
        side, found, row, column = side_of(images, self.corner), images.clone(), *self._middle(images)
        level = (labels / (self.task.num_classes - 1))[:, None]
        found[..., :side, :side] = level[..., None, None]
        found[..., row, column], found[..., row + 1, column] = read.float()[:, None], level
        return found

    def forward(self, images: Images) -> Float[Tensor, "batch output"]:
        """Logits in the form of the task's head."""
        side, classes, (row, column) = side_of(images, self.corner), self.task.num_classes, self._middle(images)
        mark, middle = images[..., :side, :side].mean(dim=(1, 2, 3)), images[:, 0, row + 1, column]
        level = torch.where(images[:, 0, row, column] > 0.5, mark, middle)
        if self.task.head == "sigmoid":
            return 20.0 * (level[:, None] - 0.5)
        return -20.0 * classes * (level[:, None] - torch.linspace(0, 1, classes)).abs()

    @staticmethod
    def _middle(images: Images) -> tuple[int, int]:
        """A pixel that is in no corner, nor is the one below it: the column lies between them, at whatever height."""
        return (images.shape[-2] - 1) // 2, (images.shape[-1] - 1) // 2
