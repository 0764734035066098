"""Goals and heads. Oracles: the same decisions in other units, closed forms per pixel, decisions counted by hand."""

import pytest
import torch
from torch import nn

from robustness.attacks import PGD
from robustness.attacks.criteria import DiceBelow, WrongDecisions
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import DenseSigmoidHead, DenseSoftmaxHead, MultiLabelHead, SigmoidHead, SoftmaxHead
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.setups import Changed, Linear, inner_images, pneumonia_films, pneumonia_model, predicted


@pytest.mark.parametrize("factor", [30.0, 300.0, 0.01])
def test_scaled_logits_are_attacked_alike(factor):
    """Trap: the same decisions with over-confident logits. Oracle: the model itself."""
    images, labels = pneumonia_films(48)
    scaled = Changed(pneumonia_model(), lambda inner, x: factor * inner(x))
    common = {"threat": ThreatModel.grey_levels(3), "head": SigmoidHead()}
    for loss in ("cross_entropy", "margin", "dlr"):
        plain = run_attack(pneumonia_model(), images, labels, attack=PGD(loss=loss), **common)
        other = run_attack(scaled, images, labels, attack=PGD(loss=loss), **common)
        assert abs(plain.robust_share - other.robust_share) <= 1.5 / 48


def test_log_softmax_outputs_are_attacked_alike():
    model, images = Linear(3), inner_images(24)
    logs = Changed(model, lambda inner, x: inner(x).log_softmax(dim=1))
    labels = predicted(model, images)
    common = {"attack": PGD(loss="cross_entropy"), "threat": ThreatModel(eps=0.05), "head": SoftmaxHead(num_classes=3)}
    plain, other = run_attack(model, images, labels, **common), run_attack(logs, images, labels, **common)
    assert torch.equal(plain.success, other.success)


def test_hide_and_invent_are_about_their_own_films():
    images, labels = pneumonia_films(48)
    for goal, own in (("hide", 1), ("invent", 0)):
        threat = ThreatModel.grey_levels(8, goal=goal)
        result = run_attack(pneumonia_model(), images, labels, attack=PGD(), threat=threat, head=SigmoidHead())
        assert torch.equal(result.eligible, labels == own)
        assert int(result.success.sum()) > 0
        assert not bool((result.success & ~result.eligible).any())


def test_one_finding_of_several_is_hidden():
    """Oracle: the other findings are never the reason of a success."""
    model, images = Linear(3), inner_images(24)
    labels = (model(images) > 0).long()
    threat = ThreatModel(eps=0.2, goal="hide", target=1)
    result = run_attack(model, images, labels, attack=PGD(), threat=threat, head=MultiLabelHead(num_findings=3))
    flipped = ((model(result.adversarial) > 0).long() != labels)[:, 1]
    assert torch.equal(result.eligible, labels[:, 1] == 1)
    assert int(result.success.sum()) > 0
    assert bool(flipped[result.success].all())


@pytest.mark.parametrize("volume", [False, True], ids=["2d", "3d"])
@pytest.mark.parametrize("sigmoid", [False, True], ids=["softmax", "sigmoid"])
def test_segmentation_of_images_and_volumes(volume, sigmoid):
    """A 1x1 convolution as the segmenter: every pixel can be moved across by its own distance to the threshold."""
    make = nn.Conv3d if volume else nn.Conv2d
    model = make(1, 1 if sigmoid else 2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([8.0] if sigmoid else [-4.0, 4.0]).reshape(model.weight.shape))
        model.bias.copy_(torch.tensor([-4.0] if sigmoid else [2.0, -2.0]))
    images = torch.rand((6, 1, 6, 6, 6) if volume else (6, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    labels = (images[:, 0] > 0.5).long()
    head = DenseSigmoidHead() if sigmoid else DenseSoftmaxHead(num_classes=2)
    criterion = DiceBelow(threshold=0.6)
    strong = run_attack(
        model, images, labels, attack=PGD(), threat=ThreatModel(eps=0.3), head=head, criterion=criterion
    )
    expected = _dice((images + 0.3 * torch.where(images > 0.5, -1, 1)).clamp(0, 1)[:, 0] > 0.5, labels == 1)
    assert torch.equal(strong.success, expected < 0.6)
    assert int(strong.success.sum()) > 3
    assert torch.all(strong.damage <= 1 - expected + 1e-5)
    assert bool(torch.allclose(strong.clean_damage, torch.zeros(6)))
    weak = run_attack(model, images, labels, attack=PGD(), threat=ThreatModel(eps=0.05), head=head, criterion=criterion)
    exact = _dice((images + 0.05 * torch.where(images > 0.5, -1, 1)).clamp(0, 1)[:, 0] > 0.5, labels == 1)
    assert torch.allclose(weak.damage, 1 - exact, atol=0.02)


def _dice(predicted_mask, truth):
    both = (predicted_mask & truth).flatten(1).sum(dim=1)
    return 2.0 * both / (predicted_mask.flatten(1).sum(dim=1) + truth.flatten(1).sum(dim=1))


def test_share_of_decisions():
    """All findings must flip for share 1, one for share 0. Oracle: counted by hand."""
    model, images = Linear(3), inner_images(24)
    labels = (model(images) > 0).long()
    for share, needed in ((0.0, 1), (0.5, 2), (1.0, 3)):
        result = run_attack(
            model,
            images,
            labels,
            attack=PGD(steps=20),
            threat=ThreatModel(eps=0.2),
            head=MultiLabelHead(num_findings=3),
            criterion=WrongDecisions(share=share),
        )
        flips = ((model(result.adversarial) > 0).long() != labels).sum(dim=1)
        assert bool((flips[result.success] >= needed).all())
        assert int(result.success.sum()) > 0
