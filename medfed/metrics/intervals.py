"""Intervals: percentile bootstrap over patients (Efron and Tibshirani 1993, chapter 13), and means over sites.

Patients are drawn with replacement and bring all their images, because images of one patient are not independent.
A draw is a vector of counts, so a resample is a weighted metric and all resamples are one call.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int

from medfed.metrics.weights import Values, Weights
from medfed.results import Estimate, finite

Metric = Callable[[Weights], Values]

Key = TypeVar("Key")

CHUNK_BYTES = 8 * 2**20
"""Largest matrix of resampling weights held at once, in bytes; the metrics need a few times that."""


def bootstrap(
    metric: Metric,
    patients: Sequence[str],
    resamples: int,
    generator: np.random.Generator,
    confidence: float = 0.95,
) -> Estimate:
    """``metric`` on all images, with its percentile interval.

    Draws in which the metric is undefined are left out; if more than half are, or if there is but one patient, there
    is no interval.

    Args:
        metric: maps weights (draws, images) to values (draws,).
        patients: the patient of each image.
        resamples: number of draws.
        generator: where the draws come from.
        confidence: coverage of the interval.
    """
    return bootstrap_all({"": metric}, patients, resamples, generator, confidence)[""]


def bootstrap_all(
    metrics: Mapping[Key, Metric],
    patients: Sequence[str],
    resamples: int,
    generator: np.random.Generator,
    confidence: float = 0.95,
) -> dict[Key, Estimate]:
    """:func:`bootstrap` for several metrics of the same images, on the same draws."""
    names, owner = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    points = point_estimates(metrics, patients)
    if len(names) < 2 or resamples == 0:
        return points
    draws: dict[Key, list[np.ndarray]] = {name: [] for name in metrics}
    for weights in _draws(owner, len(names), resamples, generator):
        for name, metric in metrics.items():
            draws[name].append(metric(weights))
    return {name: _with_interval(points[name], np.concatenate(draws[name]), confidence) for name in metrics}


def point_estimates(metrics: Mapping[Key, Metric], patients: Sequence[str]) -> dict[Key, Estimate]:
    """Each metric on all images, without intervals; ``value`` is None where it is undefined."""
    ones = np.ones((1, len(patients)))
    n = len(set(patients))
    return {
        name: Estimate(value=finite(float(metric(ones)[0])), low=None, high=None, n=n)
        for name, metric in metrics.items()
    }


def _draws(
    owner: Int[np.ndarray, " image"], num_patients: int, resamples: int, generator: np.random.Generator
) -> Iterator[Float[np.ndarray, "draw image"]]:
    """Multinomial counts of patients, handed to their images, in chunks bounded in bytes."""
    most = max(1, CHUNK_BYTES // (8 * max(len(owner), num_patients)))
    for start in range(0, resamples, most):
        rows = min(most, resamples - start)
        drawn = generator.integers(num_patients, size=(rows, num_patients))
        flat = (drawn + num_patients * np.arange(rows)[:, None]).ravel()
        counts = np.bincount(flat, minlength=rows * num_patients).reshape(rows, num_patients)
        yield counts[:, owner].astype(np.float64)


def _with_interval(point: Estimate, values: Values, confidence: float) -> Estimate:
    defined = values[np.isfinite(values)]
    if point.value is None or 2 * len(defined) < len(values):
        return point
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    interval: dict[str, Any] = {"low": float(low), "high": float(high), "se": float(np.std(defined, ddof=1))}
    return point.model_copy(update=interval)


def mean_over_sites(
    estimates: Sequence[Estimate], bounded: bool = True, shared: bool = False, confidence: float = 0.95
) -> Estimate:
    """Mean of the K sites' values, with a normal interval: mean +- z sqrt(sum se_i^2) / K.

    That takes the sites' errors as independent. Where all sites are scored on the same test images they are not, and
    the errors may add up: ``shared`` takes (sum se_i) / K, the largest that any correlation can give.

    Sites whose value is None are left out, of the mean and of n; a site without standard error leaves the mean
    without interval. The interval speaks of these sites, not of sites in general.

    Args:
        estimates: one per site.
        bounded: the metric lies in [0, 1], and so shall the interval.
        shared: all sites have the same test images; n is then that of the largest site, not the sum.
        confidence: coverage of the interval.
    """
    known = [estimate for estimate in estimates if estimate.value is not None]
    counts = [estimate.n for estimate in known]
    n = max(counts, default=0) if shared else sum(counts)
    if not known:
        return Estimate(value=None, low=None, high=None, n=n)
    mean = math.fsum(e.value for e in known if e.value is not None) / len(known)
    errors = [e.se for e in known if e.se is not None]
    if len(errors) < len(known):
        return Estimate(value=mean, low=None, high=None, n=n)
    se = (math.fsum(errors) if shared else math.hypot(*errors)) / len(known)
    reach = NormalDist().inv_cdf(0.5 + confidence / 2.0) * se
    low, high = mean - reach, mean + reach
    if bounded:
        low, high = max(low, 0.0), min(high, 1.0)
    return Estimate(value=mean, low=low, high=high, n=n, se=se)
