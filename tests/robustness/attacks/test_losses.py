"""Losses of all heads. Oracles: values by hand, and the law that an image with a unit to be gained has a slope."""

import pytest
import torch
from torch import Tensor, nn

from robustness.attacks.criteria import DiceBelow
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import DenseSigmoidHead, boundary
from robustness.attacks.losses import LOSSES, leaky, margin
from robustness.attacks.objective import ANY, Objective
from robustness.attacks.pgd import PGD
from robustness.attacks.threat import ThreatModel

SIDE = 48


def objective(labels: Tensor, **fields: str) -> Objective:
    wanted = torch.full_like(labels, ANY)
    return Objective(labels, wanted, torch.ones_like(labels, dtype=torch.bool), torch.ones(len(labels)), **fields)


def slope(loss: str, logits: Tensor, labels: Tensor) -> Tensor:
    logits = logits.requires_grad_(True)
    (found,) = torch.autograd.grad(
        LOSSES[loss](torch.stack([-logits / 2, logits / 2], 1), objective(labels)).sum(), logits
    )
    return found


@pytest.mark.parametrize("loss", LOSSES)
def test_pixels_that_are_all_wrong_by_far_still_have_a_slope(loss: str) -> None:
    """All four are labelled 0 and called 1 with a margin of 3: cross-entropy and margin still know where to go."""
    assert bool((slope(loss, torch.full((1, 4), 3.0), torch.zeros(1, 4, dtype=torch.long)) > 0).all())


def test_won_pixels_count_a_hundredth_of_the_others() -> None:
    found = slope("margin", torch.tensor([[3.0, -3.0]]), torch.zeros(1, 2, dtype=torch.long))
    torch.testing.assert_close(found, torch.tensor([[0.01, 1.0]]) / 2)


def test_the_leaky_margin_by_hand() -> None:
    torch.testing.assert_close(leaky(torch.tensor([[-2.0, 1.0, 3.0]])), torch.tensor([[-2.0, 1.0, 1.02]]))


def test_the_easiest_unit_and_a_single_one_are_not_cut() -> None:
    scores = torch.tensor([[[0.0, 0.0], [3.0, 5.0]]])
    labels = torch.zeros(1, 2, dtype=torch.long)
    assert float(margin(scores, objective(labels, pool="max"))) == 5.0
    assert float(margin(scores[:, :, :1], objective(labels[:, :1]))) == 3.0


def test_no_gradient_of_an_honest_segmentation_model_counts_as_dead() -> None:
    """The goal is the boundary; within eps every pixel of it is wrong by a margin of far more than 1. A Dice below one
    half is out of reach, since the inside of the square holds most pixels: the search goes on until its end."""
    model = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        model.weight.fill_(20.0)
        model.bias.fill_(-10.0)
    masks = torch.zeros(2, 1, SIDE, SIDE)
    masks[:, :, 6:-6, 6:-6] = 1.0
    edge = boundary(masks.flatten(1).long(), (SIDE, SIDE), 1).reshape(masks.shape)
    images = 0.5 + (masks - 0.5) * torch.where(edge, 0.1, 0.9)
    threat = ThreatModel(eps=0.3, goal="shift")
    found = run_attack(
        model, images, masks, attack=PGD(), threat=threat, head=DenseSigmoidHead(), criterion=DiceBelow()
    )
    assert not bool(found.success.any())
    assert found.flags["zero_gradient"] == 0.0
