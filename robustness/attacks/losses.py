"""What an attack makes larger: cross-entropy, DLR and the margin, for every head and goal.

Scores are divided by the objective's scale first, so that a model whose logits are all multiplied by 30 is attacked
like the model itself; adding a constant to the scores of a unit (log_softmax) changes nothing in any of them.
A loss gives one value per image: the mean over the units that count, or the easiest of them (``objective.pool``).
"""

from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from robustness.attacks.objective import ANY, Objective

if TYPE_CHECKING:
    from robustness.attacks.contract import Loss

Scores = Float[Tensor, "batch choice unit"]
PerUnit = Float[Tensor, "batch unit"]

LossName = Literal["cross_entropy", "dlr", "margin"]

MEAN_SPREAD = 10.0
"""Scores are scaled so that best minus worst choice is 10 on average, as in an ordinary trained classifier: there
neither the loss nor its gradient is rounded to zero in float32."""

_WON = 1.0
"""In a mean over units a margin beyond this hardly counts, so that units already won do not outweigh the others."""

_LEAK = 0.01
"""By how much it still counts, so that the gradient of an image whose units are all won is not exactly zero."""


def score_scale(scores: Scores) -> Float[Tensor, " batch"]:
    """By what to divide the scores of each image: its own mean spread, at least that of all images, over 10."""
    spread = (scores.amax(dim=1) - scores.amin(dim=1)).mean(dim=1)
    scale = torch.maximum(spread, spread.mean()) / MEAN_SPREAD
    return torch.where(scale > 0, scale, 1.0)


def cross_entropy(scores: Scores, objective: Objective) -> Float[Tensor, " batch"]:
    """-log p(label), or log p(target) (Goodfellow et al., ICLR 2015)."""
    log_p = (scores / objective.scale[:, None, None]).log_softmax(dim=1)
    away, towards = -_of(log_p, _labels(objective)), _of(log_p, objective.targets.clamp(min=0))
    return objective.pooled(torch.where(objective.targets == ANY, away, towards))


def margin(scores: Scores, objective: Objective) -> Float[Tensor, " batch"]:
    """Best other score minus the label's, or the target's minus the best other: above 0 once the unit is won.

    It does not saturate (Carlini and Wagner, S&P 2017, f_6 without its floor); in a mean over units see :func:`leaky`.
    """
    margins = unit_margins(scores, objective)
    many = objective.pool == "mean" and margins.shape[1] > 1
    return objective.pooled(leaky(margins) if many else margins)


def dlr(scores: Scores, objective: Objective) -> Float[Tensor, " batch"]:
    """Difference of logits ratio (Croce and Hein, ICML 2020, eq. 6; targeted: eq. 7).

    The margin over z_1 - z_3, the scores in falling order; targeted: z_target - z_label over z_1 - (z_3 + z_4) / 2.
    With three choices the targeted form divides by z_1 - z_3. With two choices the ratio would be constant and its
    gradient zero, so there it is the margin.
    """
    if scores.shape[1] == 2:
        return margin(scores, objective)
    ordered = scores.topk(min(4, scores.shape[1]), dim=1).values
    untargeted = unit_margins(scores, objective) * objective.scale[:, None] / _positive(ordered[:, 0] - ordered[:, 2])
    gain = _of(scores, objective.targets.clamp(min=0)) - _of(scores, _labels(objective))
    targeted = gain / _positive(ordered[:, 0] - ordered[:, 2:].mean(dim=1))
    return objective.pooled(torch.where(objective.targets == ANY, untargeted, targeted))


LOSSES: "dict[LossName, Loss]" = {"cross_entropy": cross_entropy, "dlr": dlr, "margin": margin}


def unit_margins(scores: Scores, objective: Objective) -> PerUnit:
    """The margin of every unit, scaled; see :func:`margin`."""
    free = objective.targets == ANY
    reference = torch.where(free, _labels(objective), objective.targets)
    own = _of(scores, reference)
    others = scores.scatter(1, reference[:, None], -torch.inf).amax(dim=1)
    return torch.where(free, others - own, own - others) / objective.scale[:, None]


def leaky(margins: PerUnit) -> PerUnit:
    """The margins, of which what lies beyond 1 counts a hundredth; the mean spread of a clean image is 10.

    It leaves units that are won alone, as the masked losses of Croce, Singh and Hein (ECCV 2024) do, but not quite.
    """
    return torch.minimum(margins, _WON + _LEAK * (margins - _WON))


def _labels(objective: Objective) -> Tensor:
    """The labels, with 0 in the place of unknown ones, which do not count."""
    return objective.labels.clamp(min=0)


def _of(scores: Scores, choice: Tensor) -> PerUnit:
    return scores.gather(1, choice[:, None])[:, 0]


def _positive(values: PerUnit) -> PerUnit:
    return values.clamp(min=1e-12)
