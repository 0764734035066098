"""The weighted mean of updates, folded one at a time: memory does not grow with the number of sites.

The result depends on the order in which updates are added (floating-point sums are not associative), so
callers add them in the fixed order of site names.
"""

import statistics
from collections.abc import Mapping

import torch

from medfed.types import Weights


class MeanFold:
    """Running weighted sum; floating-point tensors keep their dtype, integers are summed in float64."""

    def __init__(self) -> None:
        self._sums: Weights = {}
        self._total = 0.0

    @property
    def names(self) -> frozenset[str]:
        """Of the tensors that are summed; empty before the first."""
        return frozenset(self._sums)

    def add(self, tensors: Weights, weight: float, factor: float = 1.0) -> None:
        """Add ``weight * factor * tensors``; only ``weight`` counts in the denominator."""
        self._total += weight
        if not self._sums:
            self._sums = {name: torch.zeros_like(value, dtype=_accumulator(value)) for name, value in tensors.items()}
        for name, value in tensors.items():
            self._sums[name].add_(value, alpha=weight * factor)

    def total(self) -> Weights:
        """The weighted sum; the fold is used up."""
        return self._sums

    def result(self) -> Weights:
        """The weighted mean; the fold is used up.

        Raises:
            ValueError: nothing was added, or all weights were zero.
        """
        if not self._total > 0.0:
            raise ValueError("the mean of no updates, or of updates whose weights are all zero, is undefined")
        sums, self._sums = self._sums, {}
        return {name: value.div_(self._total) for name, value in sums.items()}


class MetricsFold:
    """Running weighted means of named numbers; a name that some sites lack is averaged over those that have it."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, metrics: Mapping[str, float], weight: float) -> None:
        """Add one site's numbers."""
        for name, value in metrics.items():
            total, weights = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = (total + weight * value, weights + weight)

    def result(self) -> dict[str, float]:
        """The means."""
        return {name: total / weights for name, (total, weights) in self._sums.items() if weights > 0.0}


class MetricsMedian:
    """Medians of named numbers, each over the sites that have it: few sites move them little, weights play no part."""

    def __init__(self) -> None:
        self._found: dict[str, list[float]] = {}

    def add(self, metrics: Mapping[str, float], weight: float) -> None:
        """Add one site's numbers."""
        for name, value in metrics.items():
            self._found.setdefault(name, []).append(value)

    def result(self) -> dict[str, float]:
        """The medians."""
        return {name: statistics.median(values) for name, values in self._found.items()}


def _accumulator(value: torch.Tensor) -> torch.dtype:
    return value.dtype if value.is_floating_point() else torch.float64
