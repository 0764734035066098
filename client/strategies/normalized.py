"""FedNova at a site (Wang et al., NeurIPS 2020): the change per effective step, as the server counts them too."""

from client.strategies.contract import Job, Outcome
from client.strategies.shared import shared_parameters
from medfed.exchanged import EFFECTIVE_STEPS
from medfed.params import difference, get_weights
from medfed.registry import plugin
from medfed.training.effective_steps import effective_steps
from medfed.types import Weights


@plugin
class Normalized:
    """Plain local training; the change of parameters that travel is divided by the effective number of steps."""

    def __call__(self, job: Job) -> Outcome:
        """Train, and divide."""
        result = job.train(job.model, None)
        steps = effective_steps(job.scenario.training.optimizer, result.num_steps)
        change = difference(get_weights(job.model), job.weights)
        per_step = {name: change[name] / steps for name in shared_parameters(job)}
        return Outcome(result, change | per_step, metrics={EFFECTIVE_STEPS: steps})

    def personalize(self, weights: Weights, state: Weights) -> Weights:
        """The global model."""
        return weights
