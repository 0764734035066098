"""How many steps a site's local training amounts to (FedNova: Wang et al., NeurIPS 2020).

A site whose gradients are g_1 ... g_n moves by -lr sum_k a_k g_k, and a = sum_k a_k is how many steps that amounts to
(||a||_1 in the paper, section 4.2):

    SGD                    a = n
    momentum r             a = (n - r (1 - r^n) / (1 - r)) / (1 - r)        (its equation for "momentum")
    Nesterov's form        a = n + r times that: torch steps along g_k + r (momentum)

For AdamW, whose steps do not grow with the gradient, and for a user's own optimizer the paper defines none: a = n,
since each step is about as long as the next. Weight decay is taken for a part of the objective.
"""

from typing import Any

from medfed.training.optimizers import SGD


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
