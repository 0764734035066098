"""One model on one set of images: metrics, per class, with intervals.

What is kept of an image is a few numbers, never its output map, so that memory does not grow with the image size.
Every metric is then a function of the images' weights (:mod:`medfed.metrics.weights`): all that a bootstrap needs.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from medfed.config import Scenario
from medfed.metrics import classification, segmentation
from medfed.metrics.calibration import bin_gaps, expected_calibration_error
from medfed.metrics.intervals import Metric, bootstrap_all, point_estimates
from medfed.metrics.weights import Values, Weights, weighted_mean
from medfed.results import Estimate, Evaluation, Metrics
from medfed.rng import numpy_generator
from medfed.training.heads import most_probable, probabilities
from medfed.training.losses.contract import Loss
from medfed.training.predictions import ImageScores, logits_in_batches, predict_batch, predictions
from medfed.types import ImageSet

__all__ = ["ImageScores", "evaluate", "predict_batch", "predictions"]

Key = tuple[str | None, str]
"""(class name, or None for all classes together; metric name)."""

Measures = dict[str, Callable[[Tensor, Tensor], Tensor]]
"""Name -> what is kept of each image, from class probabilities and targets."""

PerImage = dict[str, np.ndarray]
"""Name -> what was measured, the first axis over images."""


def evaluate(
    model: nn.Module, images: ImageSet, scenario: Scenario, stream: tuple[str | int, ...], intervals: bool = True
) -> Evaluation:
    """Score ``model`` on ``images``; its mode and weights stay as they were.

    Classification: auroc, balanced_accuracy, accuracy, ece; per class auroc (one against the rest) and recall.
    Segmentation: dice and iou, means over foreground classes of an image and then over images, and ece over pixels; per
    foreground class dice and iou. Both: loss, the mean over images of the training loss of each image by itself,
    without "balanced" weights. A model whose outputs are not finite has no metric at all: every value is None.

    Args:
        model: maps images in [0, 1] to logits.
        images: what it is scored on; resampled by patient.
        scenario: task, loss, batch size, number of resamples, seed.
        stream: names the bootstrap's random stream.
        intervals: whether to bootstrap; without, low, high and se are None.

    Raises:
        ValueError: there are no images.
    """
    metrics = image_metrics(model, images, scenario)
    if intervals:
        generator = numpy_generator(scenario.seed, *stream)
        estimates = bootstrap_all(metrics, images.patients, scenario.evaluation.resamples, generator)
    else:
        estimates = point_estimates(metrics, images.patients)
    per_class = {name: _of_class(estimates, name) for name in scenario.task.classes}
    return Evaluation(
        metrics=_of_class(estimates, None),
        per_class={name: values for name, values in per_class.items() if values},
        num_images=len(images),
    )


def image_metrics(model: nn.Module, images: ImageSet, scenario: Scenario) -> dict[Key, Metric]:
    """The metrics of :func:`evaluate` as functions of the weights of ``images``, after one pass of each image.

    Raises:
        ValueError: there are no images.
    """
    task, loss = scenario.model_task, scenario.training.loss
    batches = logits_in_batches(model, images, scenario.evaluation.batch_size)
    measured = _measure(batches, _MEASURES[task.kind], loss)
    metrics = _METRICS[task.kind](measured, task.classes)
    return metrics if np.isfinite(measured["gaps"]).all() else dict.fromkeys(metrics, _undefined)


def _of_class(estimates: dict[Key, Estimate], name: str | None) -> Metrics:
    return {metric: estimate for (owner, metric), estimate in estimates.items() if owner == name}


_MEASURES: dict[str, Measures] = {
    "classification": {
        "probabilities": lambda p, targets: p,
        "labels": lambda p, targets: targets,
    },
    "segmentation": {
        "dice": lambda p, targets: segmentation.dice(most_probable(p), targets, p.shape[1]),
        "iou": lambda p, targets: segmentation.iou(most_probable(p), targets, p.shape[1]),
    },
}


def _measure(batches: Iterator[tuple[Tensor, Tensor]], measures: Measures, loss: Loss) -> PerImage:
    parts: dict[str, list[Tensor]] = {name: [] for name in ("loss", "gaps", "predictions", *measures)}
    for logits, targets in batches:
        p = probabilities(logits.double())  # so that p and 1 - p rank alike
        parts["loss"].append(_loss_per_image(loss, logits, targets))
        parts["gaps"].append(bin_gaps(p, targets))
        parts["predictions"].append(torch.full((len(targets),), targets[0].numel()))
        for name, measure in measures.items():
            parts[name].append(measure(p, targets))
    return {name: np.asarray(torch.cat(tensors)) for name, tensors in parts.items()}


def _loss_per_image(
    loss: Loss, logits: Float[Tensor, "batch output ..."], targets: Int[Tensor, "batch ..."]
) -> Float[Tensor, " batch"]:
    each = [loss(logits[i : i + 1], targets[i : i + 1], None) for i in range(len(logits))]
    return torch.stack(each).double()


def _undefined(weights: Weights) -> Values:
    return np.full(weights.shape[:-1], np.nan)


def _common_metrics(measured: PerImage) -> dict[Key, Metric]:
    loss = measured["loss"] if np.isfinite(measured["loss"]).all() else np.full(len(measured["loss"]), np.nan)
    return {
        (None, "ece"): partial(expected_calibration_error, measured["gaps"], measured["predictions"]),
        (None, "loss"): partial(weighted_mean, loss),
    }


def _classification_metrics(measured: PerImage, classes: tuple[str, ...]) -> dict[Key, Metric]:
    p, labels = measured["probabilities"], measured["labels"]
    metrics: dict[Key, Metric] = {
        (None, "auroc"): partial(classification.auroc, p, labels),
        (None, "balanced_accuracy"): partial(classification.balanced_accuracy, p, labels),
        (None, "accuracy"): partial(classification.accuracy, p, labels),
        **_common_metrics(measured),
    }
    for label, name in enumerate(classes):
        metrics[name, "auroc"] = partial(classification.binary_auroc, p[:, label], labels == label)
        metrics[name, "recall"] = partial(classification.recall, p, labels, label)
    return metrics


def _segmentation_metrics(measured: PerImage, classes: tuple[str, ...]) -> dict[Key, Metric]:
    metrics: dict[Key, Metric] = {
        (None, name): partial(weighted_mean, measured[name][:, 1:].mean(axis=1)) for name in ("dice", "iou")
    }
    metrics |= _common_metrics(measured)
    for label, owner in enumerate(classes[1:], start=1):
        metrics |= {(owner, name): partial(weighted_mean, measured[name][:, label]) for name in ("dice", "iou")}
    return metrics


_METRICS: dict[str, Callable[[PerImage, tuple[str, ...]], dict[Key, Metric]]] = {
    "classification": _classification_metrics,
    "segmentation": _segmentation_metrics,
}
