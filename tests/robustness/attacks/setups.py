"""Models and images that the tests of the attacks share."""

import functools
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import medfed
from medfed.models import MODELS
from medfed.types import Task

PNEUMONIA = Task("classification", ("normal", "pneumonia"), "sigmoid", 1, 28)


class Linear(nn.Module):
    """logits = W x + b, whose nearest boundary is known in closed form."""

    def __init__(self, outputs: int, shape: tuple[int, ...] = (1, 4, 4), seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(outputs, math.prod(shape), generator=generator))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T + self.bias


class Changed(nn.Module):
    """``change(model, images)`` in the place of a model."""

    def __init__(self, model, change):
        super().__init__()
        self.model, self.change = model, change

    def forward(self, images):
        return self.change(self.model, images)


def inner_images(count: int, shape: tuple[int, ...] = (1, 4, 4), seed: int = 1) -> Tensor:
    """Images from .4 to .6, so that a small perturbation never meets the range [0, 1]."""
    return 0.4 + 0.2 * torch.rand((count, *shape), generator=torch.Generator().manual_seed(seed))


def predicted(model: nn.Module, images: Tensor) -> Tensor:
    """What the model says, so that every clean image is right."""
    with torch.no_grad():
        logits = model(images)
    return (logits > 0).long().flatten() if logits.shape[1] == 1 else logits.argmax(dim=1)


@functools.cache
def pneumonia_model() -> nn.Module:
    """A small network of the zoo, one sigmoid output, trained for one epoch on the bundled films."""
    films = np.load(Path(medfed.__file__).parent / "data/samples/pneumoniamnist/pneumoniamnist.npz")
    images = torch.from_numpy(films["train_images"]).float().unsqueeze(1) / 255
    labels = torch.from_numpy(films["train_labels"]).float().flatten()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS["small_cnn"](width=4)(PNEUMONIA)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            functional.binary_cross_entropy_with_logits(model(images[rows])[:, 0], labels[rows]).backward()
            optimizer.step()
    model.zero_grad()
    return model.eval()


@functools.cache
def pneumonia_films(count: int = 48) -> tuple[Tensor, Tensor]:
    """Test films and their labels."""
    films = np.load(Path(medfed.__file__).parent / "data/samples/pneumoniamnist/pneumoniamnist.npz")
    images = torch.from_numpy(films["test_images"][:count]).float().unsqueeze(1) / 255
    return images, torch.from_numpy(films["test_labels"][:count]).long().flatten()
