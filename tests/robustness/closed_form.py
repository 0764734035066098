"""Models whose worst case is known in closed form, and images to attack them on, for tests of the audit's section.

A model that compares the mean grey level (or a pixel's own) with 127.5 is fooled within eps grey levels exactly where
the mean (the pixel) lies less than eps from 127.5. Planted faults: a model without gradients, one that says the same of
every image, one that draws random numbers.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from medfed.audit.contract import AuditContext
from medfed.config import parse_scenario
from medfed.data.dataset import Dataset
from medfed.data.table import Record
from medfed.report.load import RunData
from medfed.results import Summary

SIDE = 8
NUM = 40
SCENARIO = """
name = "closed"
task = {{ kind = "{kind}", classes = ["dark", "bright"], head = "{head}" }}
data = {{ path = "none.csv", image_size = 8, partition = "natural" }}
model = "{model}"
training = {{ rounds = 1, local_epochs = 1, batch_size = 4, loss = "{loss}" }}
federation = {{ sites = ["a", "b"] }}
"""
CLASSIFICATION = SCENARIO.format(kind="classification", head="softmax", model="small_cnn", loss="cross_entropy")
SEGMENTATION = SCENARIO.format(kind="segmentation", head="sigmoid", model="unet", loss="dice")
QUICK = {"steps": 10, "queries": 2, "blind_queries": 2, "curve": (2.0, 4.0)}


class MeanLevel(nn.Module):
    """Two logits whose difference is the mean grey level minus a boundary."""

    def __init__(self, boundary: float = 127.5) -> None:
        super().__init__()
        self.boundary = boundary

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        level = 255.0 * images.flatten(1).mean(dim=1) - self.boundary
        return torch.stack([-level / 2, level / 2], dim=1)


class Stairs(MeanLevel):
    """The same of an image whose pixels are rounded: no gradient."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images + (torch.round(images * 255) / 255 - images).detach() - images + images.detach())


class Constant(nn.Module):
    """Says "bright" of every image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.0, 1.0]) + 0.0 * images.flatten(1).sum(dim=1, keepdim=True)


class Wavering(MeanLevel):
    """Draws random numbers in evaluation mode too."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) + 0.01 * torch.rand(len(images), 2)


class PixelLevel(nn.Module):
    """One logit per pixel: its grey level minus 127.5."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 255.0 * images - 127.5


class NotANumber(nn.Module):
    """Broken."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :2] * torch.nan


def context_of(text: str, module: nn.Module, images: np.ndarray, targets: np.ndarray) -> AuditContext:
    scenario = parse_scenario(text)
    records = tuple(Record(f"{i}.png", None, None, "ab"[i % 2], "test", f"p{i}", i + 1) for i in range(len(images)))
    rows = {
        site: {"train": np.arange(0), "val": np.arange(0), "test": np.arange(s, len(images), 2)}
        for s, site in enumerate("ab")
    }
    dataset = Dataset(Path("none.csv"), images, targets, records, rows, ())
    figures = {"rounds": 1, "seconds": 1.0, "bytes_up": 0, "bytes_down": 0, "sites": {}}
    summary = Summary(name="x", status="COMPLETED", task=scenario.task.kind, headline_metric="auroc", **figures)
    return AuditContext(scenario, RunData(Path(), summary), dataset, module.eval(), seed=1)


def films(module: nn.Module) -> AuditContext:
    """Forty flat images: 0.5, 1.5, ... 19.5 grey levels above and below 127.5."""
    distance = np.repeat(np.arange(NUM // 2), 2)
    labels = np.arange(NUM) % 2
    levels = np.where(labels == 1, 128 + distance, 127 - distance).astype(np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (NUM, 1, SIDE, SIDE)).copy()
    return context_of(CLASSIFICATION, module, images, labels.astype(np.int64))


def masks(module: nn.Module) -> AuditContext:
    """Masks of half of the image, whose pixels lie 0.5, 1.5, ... 31.5 grey levels above 127.5; the rest is dark."""
    image = np.concatenate([128 + np.arange(32), np.full(32, 20)]).reshape(1, 1, SIDE, SIDE)
    images = np.repeat(image, 8, axis=0).astype(np.uint8)
    return context_of(SEGMENTATION, module, images, (images[:, 0] > 127).astype(np.uint8))
