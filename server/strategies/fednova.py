"""FedNova: normalized averaging (Wang et al., NeurIPS 2020, equation 6).

Sites that take more steps do not pull the model towards their own optimum:

    w <- w + (sum_k p_k a_k) sum_k p_k (w_k - w) / a_k

a_k, the effective number of steps of site k, is ||a_k||_1 of the paper; the site divides its change by it and states it
(:mod:`client.strategies.normalized`). With equal a_k this is federated averaging. The mean of the a_k is a plain one,
whatever ``federation.aggregator`` says; a stated value is refused where the stated number of steps cannot give it.
Buffers follow the plain mean.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from medfed.errors import UpdateError
from medfed.exchanged import EFFECTIVE_STEPS
from medfed.registry import plugin
from medfed.types import Update, Weights
from server.strategies.common import add
from server.strategies.contract import Aggregate
from server.strategies.fedavg import FedAvg


@plugin
class FedNova(FedAvg):
    """Mean of the changes per effective step, times the mean number of effective steps."""

    post_processing: ClassVar[bool] = False  # it reads the metric as well

    def client(self) -> Mapping[str, Any]:
        """Local training whose change is divided by its number of effective steps."""
        return {"name": "normalized"}

    def weight(self, update: Update) -> float:
        """As in federated averaging.

        Raises:
            UpdateError: the effective number of steps is missing or impossible.
        """
        steps, stated = update.num_steps, update.metrics.get(EFFECTIVE_STEPS)
        most = steps * (steps + 1) / 2 + steps  # momentum and its Nesterov form in the limit of momentum 1
        if stated is None or not 1.0 <= stated <= most:
            raise UpdateError(
                f"site {update.site}: expected the metric {EFFECTIVE_STEPS} from 1 to {most:g} after {steps} steps, "
                f"got {stated}; is its medfed the same?"
            )
        return super().weight(update)

    def __call__(self, weights: Weights, aggregate: Aggregate, state: Weights) -> tuple[Weights, Weights]:
        """Undo the normalization on average; there is no state."""
        mean_steps = aggregate.metrics[EFFECTIVE_STEPS]
        step = {name: mean_steps * change for name, change in aggregate.parameter_changes.items()}
        return add(weights, aggregate.tensors | step), state
