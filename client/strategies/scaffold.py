"""SCAFFOLD at a site (Karimireddy et al., ICML 2020, Algorithm 1): gradients corrected by control variates.

    each step:    g(y) - c_i + c   instead of   g(y)
    afterwards:   c_i' = mean of the g(y) along the way,   sent: w_i - w and c_i' - c_i

For plain SGD this c_i' is that of the paper's Option II, c_i - c + (x - y_K) / (K lr), exactly: put in
y_K = x - lr sum (g_k - c_i + c). Unlike that formula it does not need the step to be lr times the gradient, so it is
defined for momentum and AdamW as well, about which the paper says nothing. Only parameters that travel have control
variates: what a site keeps to itself cannot drift from the others.
"""

import torch
from torch import nn

from client.strategies.contract import Job, Outcome
from client.strategies.shared import shared_parameters
from medfed.exchanged import CONTROL
from medfed.params import difference, get_weights
from medfed.registry import plugin
from medfed.types import Weights


@plugin
class Scaffold:
    """Local training with corrected gradients; the site keeps its control variate."""

    def __call__(self, job: Job) -> Outcome:
        """Train; send the change of the weights and of the control variate."""
        zeros = {name: torch.zeros_like(job.weights[name]) for name in shared_parameters(job)}
        own = {name: job.state.get(name, zero) for name, zero in zeros.items()}
        common = job.extras.get(CONTROL, {})
        correction = {name: common.get(name, zero) - own[name] for name, zero in zeros.items()}
        sums = {name: zero.clone() for name, zero in zeros.items()}

        def correct(model: nn.Module) -> None:
            for name, parameter in model.named_parameters():
                if parameter.grad is not None and name in sums:
                    sums[name].add_(parameter.grad.to(sums[name].device))
                    parameter.grad.add_(correction[name].to(parameter.device))

        result = job.train(job.model, correct)
        control = {name: total / result.num_steps for name, total in sums.items()}
        change = difference(get_weights(job.model), job.weights)
        return Outcome(result, change, {CONTROL: difference(control, own)}, control)

    def personalize(self, weights: Weights, state: Weights) -> Weights:
        """The global model."""
        return weights
