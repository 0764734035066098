"""Checks of what a site sends before it is used: the server trusts no number from a site."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from medfed.config import Scenario
from medfed.errors import UpdateError
from medfed.exchanged import EFFECTIVE_STEPS
from medfed.messages import SiteInfo
from medfed.results import UNBOUNDED, Estimate, Evaluation
from medfed.training.effective_steps import effective_steps
from medfed.types import Update, Weights
from privacy.mechanisms.contract import TrainingMechanism

_EXPECTED_METRICS: dict[str, frozenset[str]] = {
    "classification": frozenset({"auroc", "balanced_accuracy", "accuracy", "ece", "loss"}),
    "segmentation": frozenset({"dice", "iou", "ece", "loss"}),
}


def check_update(update: Update, weights: Weights, num_train: int, max_steps: int) -> None:
    """Refuse an update that does not fit the global ``weights``, or counts that cannot be.

    ``num_train`` is how many images the site said it has when it joined: it cannot have trained on more, nor taken
    more than the ``max_steps`` that the scenario asks of so many.

    Raises:
        UpdateError: names, shapes or dtypes differ, a value is not finite, or a count cannot be.
    """
    where = f"site {update.site}"
    if update.tensors.keys() != weights.keys():
        missing = sorted(weights.keys() - update.tensors.keys())
        extra = sorted(update.tensors.keys() - weights.keys())
        raise UpdateError(
            f"{where}: tensor names differ from the global model: missing {missing[:3]}, unknown {extra[:3]}"
        )
    _check_tensors(where, update.tensors, weights)
    if not 0 < update.num_examples <= num_train or not 0 < update.num_steps <= max_steps:
        raise UpdateError(
            f"{where}: expected num-examples from 1 to {num_train} (what it joined with) and num-steps from 1 to "
            f"{max_steps}, got {update.num_examples} and {update.num_steps}"
        )


def check_extras(update: Update, expected: Sequence[str], trained: Weights) -> None:
    """Refuse an update whose groups of extra tensors are not those expected, each like the ``trained`` entries.

    Raises:
        UpdateError: says which group or tensor.
    """
    where = f"site {update.site}"
    if set(update.extras) != set(expected):
        raise UpdateError(f"{where}: expected extra tensors {sorted(expected)}, got {sorted(update.extras)}")
    for name, tensors in update.extras.items():
        if tensors.keys() != trained.keys():
            differing = sorted(tensors.keys() ^ trained.keys())
            raise UpdateError(f'{where}: extra tensors "{name}" are not one for each trained entry: {differing[:3]}')
        _check_tensors(f'{where}: extra tensors "{name}"', tensors, trained)


def check_effective_steps(update: Update, optimizer: Any) -> None:
    """Refuse an update whose effective number of steps is not that of its number of steps; none stated is fine.

    Raises:
        UpdateError: says both numbers.
    """
    stated = update.metrics.get(EFFECTIVE_STEPS)
    expected = effective_steps(optimizer, update.num_steps)
    if stated is not None and not math.isclose(stated, expected, rel_tol=1e-6):
        raise UpdateError(
            f"site {update.site}: expected the metric {EFFECTIVE_STEPS} = {expected:g} after {update.num_steps} steps, "
            f"got {stated:g}; is its medfed the same?"
        )


def _check_tensors(where: str, tensors: Weights, weights: Weights) -> None:
    for name, value in tensors.items():
        expected = weights[name]
        if value.shape != expected.shape or value.dtype != expected.dtype:
            raise UpdateError(
                f'{where}: tensor "{name}": expected {_form(expected)}, got {_form(value)}; is its medfed the same?'
            )
        # One sum tells of any NaN or Inf in a single pass; only a suspicious one is looked at again.
        if value.is_floating_point() and not math.isfinite(float(value.sum())) and not bool(value.isfinite().all()):
            raise UpdateError(f'{where}: tensor "{name}" holds NaN or Inf; lower the learning rate')


def check_evaluation(site: str, evaluation: Evaluation, scenario: Scenario, num_images: int) -> None:
    """Refuse metrics that cannot be: other names than the task has, values outside [0, 1], intervals that do not hold.

    ``num_images`` is how many images of the split the site said it has when it joined: all of them are evaluated.

    Raises:
        UpdateError: says which metric, and what was got.
    """
    if evaluation.num_images != num_images or num_images < 1:
        raise UpdateError(
            f"site {site}: expected metrics of {num_images} images (what it joined with), 1 at least; "
            f"got {evaluation.num_images}"
        )
    expected = _EXPECTED_METRICS[scenario.task.kind]
    if evaluation.metrics.keys() != expected:
        raise UpdateError(
            f"site {site}: expected metrics {', '.join(sorted(expected))}; got {', '.join(sorted(evaluation.metrics))}"
        )
    for group in (evaluation.metrics, *evaluation.per_class.values()):
        for name, estimate in group.items():
            if not _possible(name, estimate, num_images):
                raise UpdateError(f'site {site}: metric "{name}" cannot be: {estimate}')
    unknown = evaluation.per_class.keys() - set(scenario.task.classes)
    if unknown:
        raise UpdateError(f"site {site}: unknown classes {sorted(unknown)}")


def _possible(name: str, estimate: Estimate, num_images: int) -> bool:
    values = [v for v in (estimate.low, estimate.value, estimate.high) if v is not None]
    within = name in UNBOUNDED or all(0.0 <= v <= 1.0 for v in values)
    ordered = estimate.low is None or estimate.high is None or estimate.low <= estimate.high
    return within and ordered and 1 <= estimate.n <= num_images and (estimate.se is None or estimate.se >= 0.0)


def check_info(info: SiteInfo, scenario: Scenario) -> None:
    """Refuse an introduction whose counts cannot be, or are above the strategy's cap where they weigh.

    Raises:
        UpdateError: says what was expected and got.
    """
    counts = (info.num_train, info.num_val, info.num_test, *info.class_counts, info.num_patients)
    if len(info.class_counts) != len(scenario.task.classes) or min(counts) < 0:
        raise UpdateError(
            f"site {info.site}: expected {len(scenario.task.classes)} class counts and no negative number, got {counts}"
        )
    if info.num_patients > info.num_train:
        raise UpdateError(f"site {info.site}: says {info.num_patients} patients, but {info.num_train} training images")
    strategy = scenario.federation.strategy
    most = getattr(strategy, "max_examples", math.inf) if getattr(strategy, "weighting", "") == "examples" else math.inf
    if info.num_train > most:
        raise UpdateError(
            f"site {info.site}: says that it has {info.num_train} training images; expected at most {most} "
            "(federation.strategy.max_examples); raise it if they are there, or set "
            'federation.strategy.weighting = "uniform"'
        )


def check_return(info: SiteInfo, before: SiteInfo | None, scenario: Scenario) -> None:
    """Refuse a site that was there ``before`` with other counts, where epsilon follows from them.

    Raises:
        UpdateError: says both.
    """
    if before is None or not isinstance(scenario.privacy.mechanism, TrainingMechanism):
        return
    if (info.num_train, info.num_patients) != (before.num_train, before.num_patients):
        raise UpdateError(
            f"site {info.site}: has {_training_counts(info)}, and came to this run with {_training_counts(before)}; "
            "privacy is for the data that a run began with: give the site these, or start a new run"
        )


def _training_counts(info: SiteInfo) -> str:
    return f"{info.num_train} training images" + (f" of {info.num_patients} patients" if info.num_patients else "")


def _form(value: torch.Tensor) -> str:
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
