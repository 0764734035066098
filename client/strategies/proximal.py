"""FedProx at a site (Li et al., MLSys 2020, equation 2): minimize F_k(w) + mu / 2 ||w - w_t||^2.

The gradient of the second term, mu (w - w_t), is added to every gradient before the optimizer's step. With AdamW it is
scaled with the rest, as if it stood in the loss. Entries that this site keeps to itself are pulled towards what they
were when the round began.
"""

from torch import nn

from client.strategies.contract import Job, Outcome
from client.strategies.fields import Pull
from medfed.params import difference, get_weights
from medfed.registry import plugin
from medfed.training.local import Correction
from medfed.types import Weights


def pull(center: Weights, strength: float) -> Correction:
    """Adds ``strength * (w - center)`` to the gradients: those of strength / 2 ||w - center||^2."""

    def correct(model: nn.Module) -> None:
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                home = center[name].to(parameter.device)
                parameter.grad.add_(parameter.detach() - home, alpha=strength)

    return correct


@plugin
class Proximal:
    """Local training with a pull towards the round's global weights.

    Attributes:
        mu: strength of the pull.
    """

    mu: Pull

    def __call__(self, job: Job) -> Outcome:
        """Train and take the difference."""
        result = job.train(job.model, pull(job.weights, self.mu))
        return Outcome(result, difference(get_weights(job.model), job.weights))

    def personalize(self, weights: Weights, state: Weights) -> Weights:
        """The global model."""
        return weights
