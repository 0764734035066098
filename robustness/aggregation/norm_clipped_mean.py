"""The mean of norm-clipped updates (Sun et al., "Can You Really Backdoor Federated Learning?", 2019)."""

from medfed.params import norm
from medfed.registry import plugin
from medfed.types import Weights
from robustness.aggregation.checks import Positive


def clip_factor(length: float, max_norm: float) -> float:
    """``min(1, max_norm / length)``; 1 for a vector of length 0."""
    return 1.0 if length <= max_norm else max_norm / length


@plugin
class NormClippedMean:
    """The mean of the updates, each shortened to at most ``max_norm``: no site moves it by more than its share of that.

    Attributes:
        max_norm: longest Euclidean norm of an update that counts in full, over its floating-point values (a counter of
            batches would drown them).
    """

    max_norm: Positive

    def factor(self, tensors: Weights) -> float:
        """``min(1, max_norm / ||x||)``."""
        floating = {name: value for name, value in tensors.items() if value.is_floating_point()}
        return clip_factor(norm(floating), self.max_norm)
