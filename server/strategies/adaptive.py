"""Adaptive optimizers at the server (Reddi et al., Adaptive Federated Optimization, ICLR 2021, Algorithm 2).

    D = sum_k p_k (w_k - w)
    m <- beta1 m + (1 - beta1) D            (m = 0 at first)
    v <- rule(v, D^2)                       (v = tau^2 at first, the smallest that the paper allows)
    w <- w + lr m / (sqrt(v) + tau)

Like the paper's algorithm, and unlike Adam, it corrects no bias: m starts a factor 1 - beta1 too small. That is also
where Flower differs: its FedAdam multiplies lr by sqrt(1 - beta2^(t+1)) / (1 - beta1^(t+1)) in round t, and all of its
three start from v = 0, so that the first steps have size lr wherever |D| is well above tau.

Only parameters are stepped. Buffers, such as the running statistics of BatchNorm, follow the plain mean: a step of size
lr that knows nothing of their scale would take a variance below zero.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from medfed.params import group, prefixed
from medfed.registry import plugin
from medfed.types import Weights
from server.strategies.common import add
from server.strategies.contract import Aggregate
from server.strategies.fedavg import FedAvg
from server.strategies.fields import Decay, ServerRate


@plugin
class Adaptive(FedAvg):
    """Base of the three; they differ in :meth:`second_moment`.

    Attributes:
        lr: server learning rate, about the size of a step of one weight in one round.
        beta1: decay of the first moment.
        tau: degree of adaptivity: changes well below it are scaled alike, as plain averaging does.
    """

    lr: ServerRate = 0.01
    beta1: Decay = 0.9
    tau: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 1e-3

    def second_moment(self, old: Tensor, square: Tensor) -> Tensor:
        """The next v from the last one and D^2, all of one shape."""
        raise NotImplementedError

    def __call__(self, weights: Weights, aggregate: Aggregate, state: Weights) -> tuple[Weights, Weights]:
        """One step."""
        changes, m, v = aggregate.parameter_changes, group(state, "m"), group(state, "v")
        first, second, step = {}, {}, {}
        for name, change in changes.items():
            old_first = m.get(name, torch.zeros_like(change))
            old_second = v.get(name, torch.full_like(change, self.tau**2))
            first[name] = self.beta1 * old_first + (1.0 - self.beta1) * change
            second[name] = self.second_moment(old_second, change.square())
            step[name] = self.lr * first[name] / (second[name].sqrt() + self.tau)
        return add(weights, aggregate.tensors | step), prefixed("m", first) | prefixed("v", second)
