"""The weighted mean of updates, folded one at a time: memory does not grow with the number of sites.

The result depends on the order in which updates are added (floating-point sums are not associative), so
callers add them in the fixed order of site names.
"""

import torch

from medfed.types import Weights


class MeanFold:
    """Running weighted sum; floating-point tensors keep their dtype, integers are summed in float64."""

    def __init__(self) -> None:
        self._sums: Weights = {}
        self._total = 0.0

    def add(self, tensors: Weights, weight: float) -> None:
        """Add ``weight * tensors``."""
        self._total += weight
        if not self._sums:
            self._sums = {name: torch.zeros_like(value, dtype=_accumulator(value)) for name, value in tensors.items()}
        for name, value in tensors.items():
            self._sums[name].add_(value, alpha=weight)

    def result(self) -> Weights:
        """The weighted mean.

        Raises:
            ValueError: nothing was added, or all weights were zero.
        """
        if not self._total > 0.0:
            raise ValueError("the mean of no updates, or of updates whose weights are all zero, is undefined")
        return {name: value / self._total for name, value in self._sums.items()}


def _accumulator(value: torch.Tensor) -> torch.dtype:
    return value.dtype if value.is_floating_point() else torch.float64
