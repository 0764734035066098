"""Federated averaging with server momentum (Hsu, Qi and Brown, arXiv:1909.06335, section 4.3, FedAvgM).

    m <- momentum m + sum_k p_k (w_k - w),   w <- w + lr m        (m = 0 at first)

In their notation the aggregate is -Delta w and v is -m; they have lr = 1. Buffers follow the plain mean.
"""

from medfed.params import group, prefixed
from medfed.registry import plugin
from medfed.types import Weights
from server.strategies.common import add
from server.strategies.contract import Aggregate
from server.strategies.fedavg import FedAvg
from server.strategies.fields import Decay, ServerRate


@plugin
class FedAvgM(FedAvg):
    """The server steps with momentum along the mean change.

    Attributes:
        momentum: share of the last step that is kept; a change counts 1 / (1 - momentum) times in all.
        lr: server learning rate.
    """

    momentum: Decay = 0.9
    lr: ServerRate = 1.0

    def __call__(self, weights: Weights, aggregate: Aggregate, state: Weights) -> tuple[Weights, Weights]:
        """One step with momentum."""
        old = group(state, "m")
        moment = {
            name: self.momentum * old[name] + change if name in old else change.clone()
            for name, change in aggregate.parameter_changes.items()
        }
        step = {name: self.lr * value for name, value in moment.items()}
        return add(weights, aggregate.tensors | step), prefixed("m", moment)
