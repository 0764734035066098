"""What the adversary sees, made up."""

import numpy as np
import torch

from medfed.types import ImageSet, Task
from robustness.byzantine.contract import View

BINARY = Task("classification", ("normal", "pneumonia"), "softmax", 1, 28)
MASKS = Task("segmentation", ("background", "nucleus"), "softmax", 1, 16)


def normal(num_sites: int, num_values: int, seed: int = 0) -> torch.Tensor:
    """Independent draws of N(0, 1)."""
    return torch.randn(num_sites, num_values, generator=torch.Generator().manual_seed(seed))


def view(known: torch.Tensor, num_sites: int = 20, round_number: int = 1) -> View:
    """Of the site whose honest update is the first of the known ones; all known sites are the adversary's."""
    return View(known[0].clone(), known, num_sites, len(known), round_number)


def films(num: int, task: Task = BINARY, seed: int = 0) -> ImageSet:
    """Every second row of twice as many random images, whose labels alternate in pairs."""
    draws = np.random.default_rng(seed)
    size = task.image_size
    pixels = draws.integers(0, 200, (2 * num, 1, size, size), dtype=np.uint8)
    if task.kind == "classification":
        targets = (np.arange(2 * num) // 2 % 2).astype(np.int64)
    else:
        targets = draws.integers(0, 2, (2 * num, size, size)).astype(np.uint8)
    rows = np.arange(0, 2 * num, 2, dtype=np.int64)
    return ImageSet(pixels, targets, rows, tuple(f"p{row}" for row in rows), tuple(f"n{row}" for row in rows))
