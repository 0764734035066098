"""Ditto at a site (Li et al., ICML 2021, Algorithm 1): beside the global model, one of its own.

    v <- v - lr (grad F_k(v) + lam (v - w_t))

for as many steps as the scenario's local training has, on the same batches, with the same optimizer. v begins at the
global weights of the first round in which the site trains (w_0 in the paper, where all train from the start). A site
that never trained has none, and uses the global model. A round costs twice the time of federated averaging.
"""

from client.strategies.contract import Job, Outcome
from client.strategies.fields import Pull
from client.strategies.proximal import pull
from medfed.params import difference, get_weights, set_weights
from medfed.registry import plugin
from medfed.types import Weights


@plugin
class Ditto:
    """Train the personal model, keep it; then train the global one, send what changed.

    Attributes:
        lam: strength of the pull of the personal model towards the global one.
    """

    lam: Pull

    def __call__(self, job: Job) -> Outcome:
        """Both trainings; the counts and the loss are those of the global model."""
        set_weights(job.model, job.state or job.weights)
        job.train(job.model, pull(job.weights, self.lam))
        own = get_weights(job.model)
        set_weights(job.model, job.weights)
        result = job.train(job.model, None)
        return Outcome(result, difference(get_weights(job.model), job.weights), state=own)

    def personalize(self, weights: Weights, state: Weights) -> Weights:
        """The personal model."""
        return state or weights
