"""Adam on candidate images and label logits, with a step size that falls by half a cosine."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from privacy.inversion.contract import Search
from privacy.inversion.terms import Terms

LABEL_STEP = 0.1
"""Step size on label logits, in nats."""
_LAST = 0.01
"""The last step size as a share of the first."""


def descend(
    search: Search,
    images: Tensor,
    labels: Tensor,
    terms: Callable[[float], Terms],
    *,
    iterations: int,
    step: float,
    signed: bool,
) -> None:
    """Go down until the search says stop or the iterations are done.

    Args:
        search: evaluates.
        images: starts (restart, slot, channel, *space); written to.
        labels: label logits; written to.
        terms: the objective, by the share of the run that is done (0 to 1).
        iterations: evaluations at most.
        step: first step size on images.
        signed: Adam on the sign of the gradient by the images.
    """
    total = search.iterations(iterations)
    optimizer = torch.optim.Adam([{"params": [images]}, {"params": [labels]}])
    for done in range(total):
        if not search.running:
            return
        share = done / total
        found = search.evaluate(images, labels, terms(share))
        factor = _LAST + (1 - _LAST) * 0.5 * (1 + math.cos(math.pi * share))
        for group, first in zip(optimizer.param_groups, (step, LABEL_STEP), strict=True):
            group["lr"] = first * factor
        images.grad = found.images.sign() if signed else found.images
        labels.grad = found.labels
        optimizer.step()
        images.clamp_(0.0, 1.0)
        search.report((done + 1) / total)
