"""The client's side of federated averaging (McMahan et al., AISTATS 2017): train, and send what changed."""

from client.strategies.contract import Job, Outcome
from medfed.params import difference, get_weights
from medfed.registry import plugin
from medfed.types import Weights


@plugin
class Plain:
    """Local training as the scenario says, nothing around it."""

    def __call__(self, job: Job) -> Outcome:
        """Train and take the difference."""
        result = job.train(job.model, None)
        return Outcome(result, difference(get_weights(job.model), job.weights))

    def personalize(self, weights: Weights, state: Weights) -> Weights:
        """The global model."""
        return weights
