"""Five classifiers of real films for the attack benchmark: plain, group-normalised, adversarially trained.

They are trained here, in minutes, on training images; attacks are tuned on validation films and measured on test films.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from medfed.config import Scenario, load_scenario
from medfed.data.dataset import open_dataset, pool
from medfed.data.location import resolve_path
from medfed.models.layers import Norm
from medfed.models.small_cnn import SmallCNN
from medfed.params import get_weights, load_weights, save_weights, set_weights
from medfed.types import SiteData, Split

SCENARIOS = Path(__file__).parents[2] / "scenarios"
CXR = Path(__file__).parents[4] / "shared" / "data" / "cxr_pneumonia_multisource" / "labels.csv"
WARM_SHARE = 0.4
"""Share of the epochs over which the bound of adversarial training grows to its full size."""

Images = Float[Tensor, "batch channel height width"]
Labels = Int[Tensor, " batch"]
DataName = Literal["pneumonia", "skin", "cxr"]


@dataclass(frozen=True)
class Recipe:
    """One model of the benchmark.

    Attributes:
        data: which films.
        norm: the normalization of the network.
        robust: adversarially trained (Madry et al., ICLR 2018) within ``eps``.
        eps: bound of the attack in grey levels.
        width: channels of the first stage.
        epochs: passes over the training films.
        images: training films, at most.
        seed: of weights, order and starts.
    """

    data: DataName
    norm: Norm
    robust: bool = False
    eps: float = 8.0
    width: int = 16
    epochs: int = 8
    images: int = 2000
    seed: int = 0


RECIPES: Mapping[str, Recipe] = {
    "PneumoniaMNIST, batch norm": Recipe("pneumonia", "batch"),
    "PneumoniaMNIST, group norm": Recipe("pneumonia", "group"),
    "chest films of four sources, batch norm": Recipe("cxr", "batch"),
    "PneumoniaMNIST, adversarially trained": Recipe("pneumonia", "batch", robust=True, width=8, epochs=14),
    "skin lesions, adversarially trained": Recipe("skin", "batch", robust=True, eps=2.0, width=12, epochs=14),
}


_CHANGES: Mapping[DataName, tuple[str, ...]] = {
    "pneumonia": (),
    "skin": ("data.image_size=32",),
    "cxr": (
        f'data.path="{CXR}"',
        'data.columns.patient="group"',
        'data.partition="natural"',
        'data.sites=["guangzhou", "hannover", "nih", "radiopaedia"]',  # the fifth has no validation films
        "data.image_size=64",
        'task.classes=["0", "1"]',
    ),
}


def scenario(data: DataName) -> Scenario:
    """Where the films lie and how they are read."""
    name = "skin-cnn.toml" if data == "skin" else "pneumonia-cnn.toml"
    return load_scenario(SCENARIOS / name, _CHANGES[data])


def films(recipe: Recipe, split: Split, most: int) -> tuple[Images, Labels]:
    """At most ``most`` films of a split, evenly spaced in their order."""
    found = _pooled(recipe).split(split)
    positions = np.unique(np.linspace(0, len(found) - 1, most).round().astype(np.int64))
    return found.batch(positions)


def _pooled(recipe: Recipe) -> SiteData:
    plan = scenario(recipe.data)
    dataset = open_dataset(resolve_path(plan.data.path), plan.data, plan.model_task, plan.seed)
    return pool([dataset.site(site) for site in dataset.sites])


def empty_model(recipe: Recipe) -> nn.Module:
    """The network with the weights of its seed."""
    torch.manual_seed(recipe.seed)
    return SmallCNN(width=recipe.width, norm=recipe.norm)(scenario(recipe.data).model_task)


def trained(recipe: Recipe, folder: Path) -> nn.Module:
    """The model in eval mode: read from ``folder``, or trained and put there."""
    model = empty_model(recipe)
    path = folder / f"{hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]}.safetensors"
    if not path.exists():
        fit(model, *films(recipe, "train", recipe.images), recipe)
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(path, get_weights(model))
    set_weights(model, load_weights(path))
    return model.eval()


def fit(model: nn.Module, images: Images, labels: Labels, recipe: Recipe, batch: int = 32) -> None:
    """AdamW with a one-cycle rate, in bfloat16; a robust model sees points near the films instead."""
    generator = torch.Generator().manual_seed(recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=5e-4)
    steps = recipe.epochs * -(-len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for epoch in range(recipe.epochs):
        eps = recipe.eps / 255 * min(1.0, (epoch + 1) / (WARM_SHARE * recipe.epochs)) if recipe.robust else 0.0
        for rows in torch.randperm(len(images), generator=generator).split(batch):  # type: ignore[no-untyped-call]
            points = near(model, images[rows], labels[rows], eps, generator) if eps else images[rows]
            model.train()
            optimizer.zero_grad()
            loss(model, points, labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def near(
    model: nn.Module, images: Images, labels: Labels, eps: float, generator: torch.Generator, steps: int = 2
) -> Images:
    """Points within ``eps`` with a high loss: PGD from a random start, in eval mode."""
    model.eval()
    change = eps * (2 * torch.rand(images.shape, generator=generator) - 1)
    for _ in range(steps):
        points = (images + change).clamp(0, 1).requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(model, points, labels), points)
        change = (points.detach() - images + 1.5 * eps / steps * gradient.sign()).clamp(-eps, eps)
    return (images + change).clamp(0, 1)


def loss(model: nn.Module, points: Images, labels: Labels) -> Tensor:
    """Mean cross-entropy, the network in bfloat16."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(points)
    return functional.cross_entropy(logits.float(), labels)
