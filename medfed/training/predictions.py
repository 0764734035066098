"""What a model says of images: probabilities in batches, and a score per image that tells good from bad cases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from medfed.config import Scenario
from medfed.metrics import segmentation
from medfed.training.heads import most_probable, probabilities
from medfed.types import ImageSet, Task


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module is back in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def logits_in_batches(
    model: nn.Module, images: ImageSet, batch_size: int
) -> Iterator[tuple[Float[Tensor, "batch output ..."], Int[Tensor, "batch ..."]]]:
    """Logits and targets of all images in order, batch by batch, on the CPU.

    Raises:
        ValueError: there are no images.
    """
    if len(images) == 0:
        raise ValueError("a model cannot be evaluated on no images")
    device = device_of(model)
    with evaluating(model):
        for start in range(0, len(images), batch_size):
            batch, targets = images.batch(np.arange(start, min(start + batch_size, len(images))))
            yield model(batch.to(device)).cpu(), targets


def device_of(model: nn.Module) -> torch.device:
    """Where the model's first parameter lies; the CPU if it has none."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def predict_batch(
    model: nn.Module, images: Float[Tensor, "batch channel height width"], task: Task
) -> Float[Tensor, "batch class ..."]:
    """Class probabilities of a batch, in evaluation mode; two classes for a sigmoid head.

    Raises:
        ValueError: the model's output does not suit the task.
    """
    with evaluating(model):
        logits = model(images.to(device_of(model))).cpu()
    if logits.shape[1] != task.num_outputs:
        raise ValueError(f"the model gives {logits.shape[1]} outputs, the task needs {task.num_outputs}")
    return probabilities(logits)


@dataclass(frozen=True, eq=False)
class ImageScores:
    """How well each image went, in [0, 1]: probability of the true class, or mean Dice of the foreground classes."""

    scores: NDArray[np.float64]

    def ranked(self) -> NDArray[np.int64]:
        """Positions from the worst to the best; equals keep their order."""
        return np.argsort(self.scores, kind="stable").astype(np.int64)

    def best_median_worst(self) -> tuple[int, int, int]:
        """Positions of the best, the median (the lower of two) and the worst image."""
        order = self.ranked()
        return int(order[-1]), int(order[(len(order) - 1) // 2]), int(order[0])


def predictions(model: nn.Module, images: ImageSet, scenario: Scenario) -> ImageScores:
    """A score per image.

    Raises:
        ValueError: there are no images.
    """
    task = scenario.model_task
    score = {"classification": _probability_of_truth, "segmentation": _foreground_dice}[task.kind]
    batches = logits_in_batches(model, images, scenario.evaluation.batch_size)
    return ImageScores(np.concatenate([np.asarray(score(probabilities(x), y)) for x, y in batches]))


def _probability_of_truth(p: Float[Tensor, "batch class"], targets: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    return p.double().gather(1, targets[:, None])[:, 0]


def _foreground_dice(
    p: Float[Tensor, "batch class height width"], targets: Int[Tensor, "batch height width"]
) -> Float[Tensor, " batch"]:
    return segmentation.foreground_mean(segmentation.dice(most_probable(p), targets, p.shape[1]))
