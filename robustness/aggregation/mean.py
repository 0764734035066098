"""The weighted mean (McMahan et al., AISTATS 2017); with ``weighting = "uniform"`` of the strategy, the plain mean."""

from medfed.registry import plugin
from medfed.types import Weights


@plugin
class Mean:
    """The mean of the updates, weighted as the strategy says. One site can move it anywhere."""

    def factor(self, tensors: Weights) -> float:
        """1: every update as it is."""
        return 1.0
