"""Training losses for targets that are probabilities: an attacker who does not know the labels searches for them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from medfed.training.heads import class_logits, probabilities
from medfed.training.losses.bce import BinaryCrossEntropy
from medfed.training.losses.contract import Loss
from medfed.training.losses.cross_entropy import CrossEntropy, weight_tensor
from medfed.training.losses.dice import Dice
from medfed.training.losses.dice_ce import DiceCrossEntropy
from privacy.inversion.errors import InversionError

Counts = Int[Tensor, " class"] | None
Logits = Float[Tensor, "batch output ..."]
Soft = Float[Tensor, "batch class ..."]
SoftLoss = Callable[[Logits, Soft, Counts], Tensor]


def soft_loss(loss: Loss) -> SoftLoss:
    """``loss`` for targets that are probabilities per class; equal to it where they are 0 and 1.

    Raises:
        InversionError: another loss than those of medfed.
    """
    makers: Mapping[type, Callable[[Any], SoftLoss]] = {
        CrossEntropy: _cross_entropy,
        BinaryCrossEntropy: _binary,
        Dice: lambda loss: _dice(loss.smooth),
        DiceCrossEntropy: _dice_cross_entropy,
    }
    if type(loss) not in makers:
        raise InversionError(
            f"observation: labels must be known for loss {type(loss).__name__}; expected bce, cross_entropy, dice or "
            "dice_ce where they are not"
        )
    return makers[type(loss)](loss)


def positive_weight(loss: BinaryCrossEntropy, counts: Counts) -> float:
    """The weight w of the second class: the loss of logit 0 for a positive is w ln 2."""
    one = torch.ones(1, dtype=torch.int64)
    return float(loss(torch.zeros(1, 1, dtype=torch.float64), one, counts)) / math.log(2.0)


def _cross_entropy(loss: CrossEntropy) -> SoftLoss:
    def value(logits: Logits, soft: Soft, counts: Counts) -> Tensor:
        scores = class_logits(logits)
        weight = weight_tensor(loss.class_weights, counts, scores)
        weights = scores.new_ones(scores.shape[1]) if weight is None else weight
        weights = weights.reshape(1, -1, *[1] * (scores.ndim - 2))
        losses = -torch.log_softmax(scores, dim=1) * weights
        told = (1.0 - loss.label_smoothing) * soft + loss.label_smoothing / scores.shape[1]
        return (losses * told).sum() / (weights * soft).sum()

    return value


def _binary(loss: BinaryCrossEntropy) -> SoftLoss:
    def value(logits: Logits, soft: Soft, counts: Counts) -> Tensor:
        weight = logits.new_tensor(positive_weight(loss, counts))
        return functional.binary_cross_entropy_with_logits(logits[:, 0], soft[:, 1], pos_weight=weight)

    return value


def _dice(smooth: float) -> SoftLoss:
    def value(logits: Logits, soft: Soft, counts: Counts) -> Tensor:
        p, truth, space = probabilities(logits)[:, 1:], soft[:, 1:], tuple(range(2, logits.ndim))
        overlap = 2.0 * (p * truth).sum(space) + smooth
        return torch.mean(1.0 - overlap / ((p * p).sum(space) + (truth * truth).sum(space) + smooth))

    return value


def _dice_cross_entropy(loss: DiceCrossEntropy) -> SoftLoss:
    entropy, dice = _cross_entropy(CrossEntropy(class_weights=loss.class_weights)), _dice(loss.smooth)
    return lambda logits, soft, counts: entropy(logits, soft, counts) + dice(logits, soft, counts)
