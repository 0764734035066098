"""What counts as fooled in segmentation, goal by goal. Oracle: pixels counted by hand."""

import pytest
import torch
from torch import Tensor, nn

from robustness.attacks import SegmentationWorst
from robustness.attacks.criteria import DiceBelow, MaskGoal, default_criterion, objective_for
from robustness.attacks.enforcer import check_points, run_attack
from robustness.attacks.heads import DenseSoftmaxHead, Head, SoftmaxHead
from robustness.attacks.threat import Goal, ThreatModel

HEAD = DenseSoftmaxHead(num_classes=3)
SIDE = 10
CHOICES = 3


def truth() -> Tensor:
    """One map: 16 pixels of finding 1, 8 of finding 2, 76 of background."""
    labels = torch.zeros(1, SIDE, SIDE, dtype=torch.long)
    labels[:, 0:4, 0:4], labels[:, 6:8, 4:8] = 1, 2
    return labels


class Shown(nn.Module):
    """Decides every pixel as its grey level says: class 0, 1 or 2 at 0, 1/2 or 1."""

    def forward(self, images: Tensor) -> Tensor:
        levels = torch.tensor([0.0, 0.5, 1.0]).reshape(1, CHOICES, 1, 1)
        return -((images - levels) ** 2)


def fooled(goal: Goal, shown: Tensor, target: int | None) -> bool:
    """Whether a point that shows the classes ``shown`` counts."""
    threat = ThreatModel(eps=1.0, goal=goal, target=target)
    found = check_points(Shown(), truth()[:, None] / 2.0, shown[:, None] / 2.0, truth(), threat=threat, head=HEAD)
    assert not bool(found.clean_success.any())
    return bool(found.success[0])


def changed(was: int, count: int, to: int) -> Tensor:
    """The first ``count`` pixels of class ``was`` shown as ``to``."""
    shown = truth().flatten()
    shown[(shown == was).nonzero()[:count, 0]] = to
    return shown.reshape(1, SIDE, SIDE)


@pytest.mark.parametrize(
    ("goal", "target", "shown", "wanted"),
    [
        ("hide", 2, changed(2, 8, 0), True),
        ("hide", 2, changed(2, 4, 0), True),
        ("hide", 2, changed(2, 3, 0), False),
        ("hide", 2, changed(1, 16, 0), False),
        ("invent", 2, changed(0, 1, 2), True),
        ("invent", 2, changed(2, 8, 0), False),
        ("targeted", 1, changed(0, 46, 1), True),
        ("targeted", 1, changed(0, 41, 1), False),
        ("shift", None, changed(0, 76, 1), True),
        ("shift", None, truth(), False),
        ("untargeted", None, changed(1, 16, 0), False),
        ("untargeted", None, torch.zeros_like(truth()), True),
    ],
)
def test_the_goal_says_what_counts(goal: Goal, target: int | None, shown: Tensor, wanted: bool) -> None:
    assert fooled(goal, shown, target) is wanted


class OneWeak(nn.Module):
    """Shows the truth; finding 2 falls with the grey level, finding 1 and the background never."""

    def forward(self, images: Tensor) -> Tensor:
        scores = 4.0 * nn.functional.one_hot(truth().expand(len(images), -1, -1), CHOICES).permute(0, 3, 1, 2)
        fall = 40 * (0.5 - images) * (truth() == 2)[:, None]
        return scores + torch.cat([fall, torch.zeros_like(fall), torch.zeros_like(fall)], dim=1)


@pytest.mark.parametrize(("target", "robust"), [(2, 0.0), (1, 1.0)])
def test_an_attack_hides_the_finding_that_can_be_hidden(target: int, robust: float) -> None:
    images, threat = torch.full((2, 1, SIDE, SIDE), 0.5), ThreatModel(eps=0.3, goal="hide", target=target)
    labels = truth().expand(2, -1, -1)
    found = run_attack(OneWeak(), images, labels, attack=SegmentationWorst(steps=5), threat=threat, head=HEAD)
    assert found.robust_share == robust


def test_without_a_goal_it_is_dice_to_the_bit() -> None:
    images, labels = torch.zeros(4, 1, SIDE, SIDE), truth().expand(4, -1, -1)
    scores = torch.randn((4, CHOICES, SIDE * SIDE), generator=torch.Generator().manual_seed(0))
    objective = objective_for(HEAD, MaskGoal(), ThreatModel(eps=0.1), labels, images, scores)
    assert torch.equal(MaskGoal().damage(scores, objective), DiceBelow().damage(scores, objective))
    assert torch.equal(MaskGoal().success(scores, objective), DiceBelow().success(scores, objective))
    assert MaskGoal().pool == DiceBelow().pool


@pytest.mark.parametrize(("head", "name"), [(HEAD, "MaskGoal"), (SoftmaxHead(num_classes=3), "WrongDecisions")])
def test_the_default_is_by_the_head(head: Head, name: str) -> None:
    assert type(default_criterion(head)).__name__ == name
