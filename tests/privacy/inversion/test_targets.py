"""Losses for soft targets. Oracle: the losses themselves where the targets are 0 and 1; torch for those between."""

import pytest
import torch
from torch.nn import functional

from medfed.training.losses.bce import BinaryCrossEntropy
from medfed.training.losses.contract import Loss
from medfed.training.losses.cross_entropy import CrossEntropy
from medfed.training.losses.dice import Dice
from medfed.training.losses.dice_ce import DiceCrossEntropy
from privacy.inversion.errors import InversionError
from privacy.inversion.targets import soft_loss

LOSSES = {
    "plain": CrossEntropy(),
    "weighted": CrossEntropy(class_weights=(1.0, 3.0), label_smoothing=0.1),
    "balanced": CrossEntropy(class_weights="balanced"),
    "bce": BinaryCrossEntropy(pos_weight=2.5),
    "bce balanced": BinaryCrossEntropy(pos_weight="balanced"),
    "dice": Dice(),
    "dice_ce": DiceCrossEntropy(class_weights="balanced"),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("outputs", [1, 2])
def test_hard_targets_give_the_loss_itself(name: str, outputs: int) -> None:
    loss, generator = LOSSES[name], torch.Generator().manual_seed(0)
    if outputs == 2 and "softmax" not in loss.heads:
        pytest.skip("a loss of the sigmoid head")
    logits = torch.randn(3, outputs, 4, 5, generator=generator)
    targets = torch.randint(0, 2, (3, 4, 5), generator=generator)
    counts = torch.tensor([7, 2])
    soft = functional.one_hot(targets, 2).movedim(-1, 1).float()
    torch.testing.assert_close(soft_loss(loss)(logits, soft, counts), loss(logits, targets, counts))


def test_cross_entropy_between_is_that_of_torch() -> None:
    logits, soft = torch.randn(5, 4), torch.softmax(torch.randn(5, 4), 1)
    torch.testing.assert_close(soft_loss(CrossEntropy())(logits, soft, None), functional.cross_entropy(logits, soft))


def test_a_loss_that_is_not_known_is_refused_in_one_line() -> None:
    class Own:
        heads = kinds = ("softmax",)

        def __call__(self, logits, targets, class_counts):
            return logits.sum()

    assert isinstance(Own(), Loss)
    with pytest.raises(InversionError, match="labels must be known for loss Own"):
        soft_loss(Own())
