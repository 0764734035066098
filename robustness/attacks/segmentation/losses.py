"""Losses over the pixels of a segmentation: how much each pixel counts depends on whether it is won already.

All are means over the units that count (a class or finding per pixel or voxel) whatever the criterion pools, divide
the scores by the objective's scale first, and serve every goal: a unit whose target is ``ANY`` is driven away from its
label, any other towards its target. ``share`` is the share of the steps done, in [0, 1); only SegPGD reads it.

No single one wins at every budget; :mod:`robustness.attacks.segmentation.worst_of` takes the worst of several.
"""

from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from robustness.attacks.heads import decisions
from robustness.attacks.losses import leaky, unit_margins
from robustness.attacks.objective import ANY, Objective

Scores = Float[Tensor, "batch choice unit"]
PerUnit = Float[Tensor, "batch unit"]
PerImage = Float[Tensor, " batch"]

SegmentationLossName = Literal["cross_entropy", "seg_pgd", "cos_pgd", "soft_dice", "masked_margin"]


@runtime_checkable
class SegmentationLoss(Protocol):
    """What a segmentation attack makes larger."""

    def __call__(self, scores: Scores, objective: Objective, share: float = 0.0) -> PerImage:
        """One value per image, the larger the worse for the model; ``share`` of the steps are done."""
        ...


_SMOOTH = 1.0
"""Pixels added above and below in soft Dice, so that an empty mask has a gradient."""


def cross_entropy(scores: Scores, objective: Objective, share: float = 0.0) -> PerImage:
    """The mean of -log p(label), or of log p(target); binary cross-entropy for a sigmoid head."""
    return _mean(_cross_entropies(scores, objective), objective)


def seg_pgd(scores: Scores, objective: Objective, share: float = 0.0) -> PerImage:
    """Cross-entropy with weight 1 - lambda on pixels not won and lambda on won ones, lambda = share / 2.

    Gu, Zhao, Tresp and Torr, SegPGD, ECCV 2022: lambda = (t - 1) / (2 T) at step t of T.
    """
    won = objective.reached(decisions(scores))
    weights = torch.where(won, share / 2, 1 - share / 2)
    return _mean(weights * _cross_entropies(scores, objective), objective)


def cos_pgd(scores: Scores, objective: Objective, share: float = 0.0) -> PerImage:
    """Cross-entropy weighted by the cosine between the predicted distribution and the one-hot label.

    Towards a target the weight is 1 - cosine. The cosine with a one-hot vector is p(choice) / |p|; no gradient goes
    through it (Agnihotri, Jung and Keuper, CosPGD, ICML 2024, and their published code).
    """
    p = _probabilities(scores, objective).detach()
    cosine = _of(p, _references(objective)) / p.norm(dim=1)
    weights = torch.where(objective.targets == ANY, cosine, 1 - cosine)
    return _mean(weights * _cross_entropies(scores, objective), objective)


def soft_dice(scores: Scores, objective: Objective, share: float = 0.0) -> PerImage:
    """Soft Dice with the targets minus soft Dice with the labels (Milletari, Navab and Ahmadi, 3DV 2016).

    Soft Dice is ``(2 sum p t + 1) / (sum p + sum t + 1)`` over the units that count, 1 where there are none: without
    targets this is 1 - soft Dice. With the labels it is taken per finding of a sigmoid head, or per class but the
    first of a softmax head, and averaged. It follows the measure that is to fall, whatever the size of the finding.
    """
    p = _probabilities(scores, objective)
    away = objective.active & (objective.targets == ANY)
    towards = objective.active & (objective.targets != ANY)
    shape = (len(scores), objective.groups, -1)
    kept = [
        _overlap((p[:, choice] * away).reshape(shape), ((objective.labels == choice) & away).reshape(shape))
        for choice in range(1, scores.shape[1])
    ]
    gained = _overlap(_of(p, objective.targets.clamp(min=0)) * towards, towards)
    return gained - torch.cat(kept, dim=1).mean(dim=1)


def masked_margin(scores: Scores, objective: Objective, share: float = 0.0) -> PerImage:
    """The margin (best other score minus the label's), of which what lies beyond 1 counts a hundredth.

    It does not saturate where the model is sure.
    """
    return _mean(leaky(unit_margins(scores, objective)), objective)


SEGMENTATION_LOSSES: dict[SegmentationLossName, SegmentationLoss] = {
    "cross_entropy": cross_entropy,
    "seg_pgd": seg_pgd,
    "cos_pgd": cos_pgd,
    "soft_dice": soft_dice,
    "masked_margin": masked_margin,
}


def _mean(values: PerUnit, objective: Objective) -> PerImage:
    """Over the units that count; 0 where none does."""
    return values.masked_fill(~objective.active, 0.0).sum(dim=1) / objective.active.sum(dim=1).clamp(min=1)


def _references(objective: Objective) -> Tensor:
    """The target of a unit that has one, else its label; 0 where that is unknown."""
    return torch.where(objective.targets == ANY, objective.labels, objective.targets).clamp(min=0)


def _cross_entropies(scores: Scores, objective: Objective) -> PerUnit:
    log_p = _of((scores / objective.scale[:, None, None]).log_softmax(dim=1), _references(objective))
    return torch.where(objective.targets == ANY, -log_p, log_p)


def _probabilities(scores: Scores, objective: Objective) -> Scores:
    return (scores / objective.scale[:, None, None]).softmax(dim=1)


def _of(values: Scores, choice: Tensor) -> PerUnit:
    return values.gather(1, choice[:, None])[:, 0]


def _overlap(p: Tensor, t: Tensor) -> Tensor:
    """Soft Dice over the last axis."""
    return (2 * (p * t).sum(dim=-1) + _SMOOTH) / (p.sum(dim=-1) + t.sum(dim=-1) + _SMOOTH)
