"""What a search can aim at, one after another: every other class of an image, or every single finding of it."""

from dataclasses import replace

import torch
from torch import Tensor

from robustness.attacks.contract import Search
from robustness.attacks.losses import unit_margins
from robustness.attacks.objective import ANY, Objective


def num_aims(search: Search) -> int:
    """How many ways there are to be fooled that can be aimed at one by one; 1 where there is no choice.

    One decision among C classes: C - 1. Several findings of which one is enough: their number. Goals that name the
    class, and segmentation, have one.
    """
    choices, units = search.clean_scores.shape[1:]
    if bool((search.objective.targets != ANY).any()):
        return 1
    if units == 1:
        return choices - 1
    return units if search.objective.pool == "max" else 1


def aim(search: Search, rank: int) -> Objective:
    """The objective of the search narrowed to the way that is the ``rank``-th easiest (from 0) by the clean scores."""
    objective, scores = search.objective, search.clean_scores
    if num_aims(search) == 1:
        return objective
    if scores.shape[2] == 1:
        others = scores[:, :, 0].scatter(1, objective.labels, -torch.inf)
        return objective.towards(_ranked(others, rank))
    margins = unit_margins(scores, objective).masked_fill(~objective.active, -torch.inf)
    chosen = torch.zeros_like(objective.active).scatter(1, _ranked(margins, rank)[:, None], True)
    return replace(objective, active=chosen & objective.active | _none_of(chosen, objective))


def _ranked(values: Tensor, rank: int) -> Tensor:
    return values.argsort(dim=1, descending=True, stable=True)[:, rank]


def _none_of(chosen: Tensor, objective: Objective) -> Tensor:
    """All active units of the images whose chosen unit does not count."""
    counts = (chosen & objective.active).any(dim=1, keepdim=True)
    return objective.active & ~counts
