"""FedNova: normalized averaging (Wang et al., NeurIPS 2020, equation 6).

Sites that take more steps do not pull the model towards their own optimum:

    w <- w + (sum_k p_k a_k) sum_k p_k (w_k - w) / a_k

a_k, the effective number of steps of site k, is ||a_k||_1 of the paper; the site divides its change by it and states it
(:mod:`client.strategies.normalized`). With equal a_k this is federated averaging. A stated a_k that is not that of the
optimizer and the stated number of steps is refused as it arrives; under a robust rule, which counts every site once,
the median of the a_k takes the place of their mean. Buffers follow the plain mean.
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
            UpdateError: the effective number of steps is missing.
        """
        if EFFECTIVE_STEPS not in update.metrics:
            raise UpdateError(
                f"site {update.site}: expected the metric {EFFECTIVE_STEPS}, got none; is its medfed old?"
            )
        return super().weight(update)

    def __call__(self, weights: Weights, aggregate: Aggregate, state: Weights) -> tuple[Weights, Weights]:
        """Undo the normalization on average; there is no state."""
        mean_steps = aggregate.metrics[EFFECTIVE_STEPS]
        step = {name: mean_steps * change for name, change in aggregate.parameter_changes.items()}
        return add(weights, aggregate.tensors | step), state
