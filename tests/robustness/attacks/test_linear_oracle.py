"""On a linear model the least perturbation that fools is known. Oracle: closed form.

For logits W x the margin to class k is (w_k - w_y) . x, so the least change that reaches it is |margin| / |w_k - w_y|_1
in the maximum norm and |margin| / |w_k - w_y|_2 in the Euclidean norm, as long as the range is not met.
"""

import math

import pytest
import torch

from robustness.attacks import APGD, CW, FAB, FGSM, MIFGSM, PGD, DeepFool, Ensemble
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import MultiLabelHead, SigmoidHead, SoftmaxHead
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.setups import Linear, inner_images, predicted

COUNT = 24


def _least(model, images, labels, norm):
    """The closed form, per image."""
    order = 1 if norm == "linf" else 2
    if len(model.weight) == 1:
        logits = model(images)[:, 0]
        return logits.detach().abs() / model.weight[0].detach().norm(p=order)
    logits = model(images).detach()
    own = model.weight.detach()[labels]
    gaps = logits.gather(1, labels[:, None]) - logits
    lengths = (model.weight.detach()[None] - own[:, None]).norm(p=order, dim=2)
    return (gaps / lengths.clamp(min=1e-12)).masked_fill(lengths == 0, math.inf).amin(dim=1)


def _head(outputs):
    return SigmoidHead() if outputs == 1 else SoftmaxHead(num_classes=outputs)


@pytest.mark.parametrize("outputs", [1, 2, 3, 5])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    "attack",
    [FAB(steps=40), DeepFool(steps=20)],
    ids=["fab", "deepfool"],
)
def test_finds_the_least_distance(attack, norm, outputs):
    model, images = Linear(outputs), inner_images(COUNT)
    labels = predicted(model, images)
    least = _least(model, images, labels, norm)
    keep = least < (0.3 if norm == "linf" else 0.35)
    images, labels, least = images[keep], labels[keep], least[keep]
    result = run_attack(
        model,
        images,
        labels,
        attack=attack,
        threat=ThreatModel(norm=norm, eps=math.inf),
        head=_head(outputs),
        settings=RunSettings(stop_when_fooled=False),
    )
    assert len(images) > 4
    assert bool(result.success.all())
    assert torch.all(result.distances >= least * (1 - 1e-4))
    assert torch.allclose(result.distances, least, rtol=0.03, atol=1e-5)


def test_cw_finds_the_least_euclidean_distance():
    model, images = Linear(3), inner_images(COUNT)
    labels = predicted(model, images)
    least = _least(model, images, labels, "l2")
    result = run_attack(
        model,
        images,
        labels,
        attack=CW(steps=120, searches=5, rate=0.005),
        threat=ThreatModel(norm="l2", eps=math.inf),
        head=SoftmaxHead(num_classes=3),
        settings=RunSettings(stop_when_fooled=False),
    )
    inside = least < 0.35
    assert bool(result.success.all())
    assert torch.all(result.distances >= least * (1 - 1e-4))
    assert torch.allclose(result.distances[inside], least[inside], rtol=0.1, atol=0.01)


@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    "attack",
    [
        PGD(steps=20, loss="margin"),
        PGD(steps=20, loss="cross_entropy", random_start=False),
        APGD(steps=20, loss="dlr", targets=3),
        APGD(steps=20, loss="margin", targets=3),
        Ensemble(steps=20, restarts=1, queries=5, blind_queries=5),
    ],
    ids=["pgd", "bim", "apgd-dlr-targeted", "apgd-margin-targeted", "ensemble"],
)
def test_fools_exactly_the_images_whose_least_distance_is_within_eps(attack, norm, outputs):
    model, images = Linear(outputs, seed=3), inner_images(COUNT)
    labels = predicted(model, images)
    least = _least(model, images, labels, norm)
    eps = float(least.median())
    near, far = least < 0.97 * eps, least > 1.0001 * eps
    result = run_attack(
        model, images, labels, attack=attack, threat=ThreatModel(norm=norm, eps=eps), head=_head(outputs)
    )
    assert int(near.sum()) > 5
    assert int(far.sum()) > 5
    assert not bool(result.success[far].any())
    exact = outputs <= 2 or getattr(attack, "targets", 0) >= 3
    fooled = result.success[near]
    assert bool(fooled.all() if exact else fooled.any())  # inexact: it climbs to the likeliest class, not the nearest
    assert torch.all(result.distances[result.success] <= eps * 1.001)


def test_one_step_is_exact_on_two_classes():
    model, images = Linear(1), inner_images(COUNT)
    labels = predicted(model, images)
    least = _least(model, images, labels, "linf")
    eps = float(least.median()) * 1.0001
    for attack in (FGSM(), MIFGSM(steps=10), FGSM(loss="margin")):
        result = run_attack(model, images, labels, attack=attack, threat=ThreatModel(eps=eps), head=SigmoidHead())
        assert torch.equal(result.success, least < eps)


def test_any_finding_is_fooled_at_the_distance_of_the_nearest():
    model, images = Linear(4), inner_images(COUNT)
    labels = (model(images) > 0).float()
    least = (model(images).abs() / model.weight.norm(p=1, dim=1)).amin(dim=1).detach()
    result = run_attack(
        model,
        images,
        labels,
        attack=APGD(steps=30, loss="margin", targets=4),
        threat=ThreatModel(eps=float(least.median()) * 1.0001),
        head=MultiLabelHead(num_findings=4),
    )
    eps = float(least.median())
    assert bool(result.success[least < 0.98 * eps].all())
    assert not bool(result.success[least > 1.001 * eps].any())


def test_distances_and_bound_of_a_standardised_model_are_in_grey_levels():
    """The same model behind (x - mean) / std, with the threat converted, is fooled on the same images."""
    mean, std = 0.3, 0.15
    model, images = Linear(2), inner_images(COUNT)
    labels = predicted(model, images)
    threat = ThreatModel.grey_levels(float(_least(model, images, labels, "linf").median()) * 255 * 1.001)
    other = Linear(2)
    with torch.no_grad():
        other.weight.copy_(model.weight * std)
        other.bias.copy_(model.weight.sum(dim=1) * mean)
    attack, head = PGD(steps=20), SoftmaxHead(num_classes=2)
    plain = run_attack(model, images, labels, attack=attack, threat=threat, head=head)
    scored = run_attack(
        other, (images - mean) / std, labels, attack=attack, threat=threat.z_scored(mean, std), head=head
    )
    assert int(plain.success.sum()) >= COUNT // 2
    assert torch.equal(plain.success, scored.success)
    assert float(scored.distances.nan_to_num(0.0).max()) <= threat.eps * 1.001
