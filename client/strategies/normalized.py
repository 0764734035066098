"""FedNova at a site (Wang et al., NeurIPS 2020): the change per effective step.

A site whose gradients are g_1 ... g_n moves by -lr sum_k a_k g_k, and a = sum_k a_k is how many steps that amounts to
(||a||_1 in the paper, section 4.2):

    SGD                    a = n
    momentum r             a = (n - r (1 - r^n) / (1 - r)) / (1 - r)        (its equation for "momentum")
    Nesterov's form        a = n + r times that: torch steps along g_k + r (momentum)

For AdamW, whose steps do not grow with the gradient, and for a user's own optimizer the paper defines none: a = n,
since each step is about as long as the next. Weight decay is taken for a part of the objective.
"""

from typing import Any

from client.strategies.contract import Job, Outcome
from client.strategies.shared import shared_parameters
from medfed.exchanged import EFFECTIVE_STEPS
from medfed.params import difference, get_weights
from medfed.registry import plugin
from medfed.training.optimizers import SGD
from medfed.types import Weights


def effective_steps(optimizer: Any, num_steps: int) -> float:
    """a, see above; at least 1.

    Args:
        optimizer: the plug-in of the scenario.
        num_steps: n, at least 1.
    """
    if not isinstance(optimizer, SGD):
        return float(num_steps)
    r = optimizer.momentum
    heavy_ball = (num_steps - r * (1.0 - r**num_steps) / (1.0 - r)) / (1.0 - r)
    return num_steps + r * heavy_ball if optimizer.nesterov else heavy_ball


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
