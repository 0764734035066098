"""SCAFFOLD: control variates against client drift (Karimireddy et al., ICML 2020, Algorithm 1, server's side).

    w <- w + lr mean_S (w_i - w),   c <- c + |S| / N mean_S (c_i' - c_i)        (c = 0 at first)

S are the sites that delivered in this round, N all that train. Each site counts once, as in the paper: c must be the
mean of all c_i, and the server weighs extra tensors uniformly. An update that is lost on the way has moved c_i but not
c. With a robust aggregator the coordinate-wise median of the changes of control variates stands in the place of their
mean, so that they are no way past it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from medfed.exchanged import CONTROL
from medfed.registry import plugin
from medfed.types import Weights
from server.strategies.common import Common, add
from server.strategies.contract import Aggregate
from server.strategies.fields import ServerRate


@plugin
class Scaffold(Common):
    """The sites' gradients are corrected by what differs from the mean gradient; each site counts once.

    Attributes:
        lr: server learning rate (eta_g in the paper).
    """

    extras: ClassVar[tuple[str, ...]] = (CONTROL,)

    lr: ServerRate = 1.0

    def client(self) -> Mapping[str, Any]:
        """Local training with corrected gradients."""
        return {"name": "scaffold"}

    def broadcast(self, state: Weights) -> Mapping[str, Weights]:
        """The server's control variate; without entries before round 1, where it is zero."""
        return {CONTROL: state}

    def __call__(self, weights: Weights, aggregate: Aggregate, state: Weights) -> tuple[Weights, Weights]:
        """Step, and move the control variate."""
        step = {name: self.lr * change for name, change in aggregate.parameter_changes.items()}
        share = aggregate.num_updates / aggregate.num_sites
        moved = {
            name: state[name] + share * change if name in state else share * change
            for name, change in aggregate.extras[CONTROL].items()
        }
        return add(weights, aggregate.tensors | step), state | moved
