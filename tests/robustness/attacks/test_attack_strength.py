"""What attacks find. Oracles: laws (more attacks fool no fewer images), the model asked anew, hidden gradients."""

import pytest
import torch

from medfed import registry
from robustness.attacks import APGD, PGD, Ensemble, Square
from robustness.attacks.criteria import Confident
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import SigmoidHead, SoftmaxHead
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.films import run_on_films, short_attack
from tests.robustness.attacks.setups import Changed, Linear, inner_images, pneumonia_films, pneumonia_model, predicted


@pytest.mark.parametrize("name", ["pgd", "apgd", "ensemble", "mifgsm", "fab", "deepfool"])
def test_an_attack_fools_a_trained_model(name):
    result, _ = run_on_films(name)
    assert int(result.success.sum()) > int(result.clean_success.sum())


def test_the_ensemble_fools_whatever_a_member_fools():
    """Law: more attacks never fool fewer images (up to one: the random starts differ)."""
    images, labels = pneumonia_films(48)
    common = {"threat": ThreatModel.grey_levels(3), "head": SigmoidHead()}
    shares = [
        run_attack(pneumonia_model(), images, labels, attack=attack, **common).robust_share
        for attack in (Ensemble(steps=30), PGD(), APGD(steps=30), Square(queries=50))
    ]
    assert 0.0 < shares[0] < 1.0
    assert all(shares[0] <= share + 1 / 48 for share in shares[1:])


def test_images_from_noise_convince_the_model():
    images, _ = pneumonia_films(4)
    threat = ThreatModel(eps=float("inf"), goal="targeted", target=1)
    result = run_attack(
        pneumonia_model(),
        torch.zeros_like(images),
        torch.zeros(4),
        attack=short_attack("fooling"),
        threat=threat,
        head=SigmoidHead(),
        criterion=Confident(probability=0.8),
    )
    with torch.no_grad():
        p = torch.sigmoid(pneumonia_model()(result.adversarial)[:, 0])
    assert bool((p >= 0.8).all())


def test_cw_moves_pixels_at_the_ends_of_the_range():
    """Trap: tanh space has no gradient at 0 and 1."""
    model = Linear(2)
    images = torch.cat([torch.zeros(4, 1, 4, 2), torch.ones(4, 1, 4, 2)], dim=3)
    labels = predicted(model, images)
    result = run_attack(
        model,
        images,
        labels,
        attack=registry.build("attack", {"name": "cw", "rate": 0.05}),
        threat=ThreatModel(norm="l2", eps=4.0),
        head=SoftmaxHead(num_classes=2),
    )
    assert bool(result.success.all())
    assert float((result.adversarial - images).abs().amax()) > 0.1


@pytest.mark.parametrize(
    "threat",
    [
        ThreatModel.hounsfield(0.6 * 1400, (-1000.0, 400.0), norm="l2"),
        ThreatModel.grey_levels(0.6 * 65535, bits=16, norm="l2"),
        ThreatModel(norm="l2", eps=0.6).z_scored(0.485, 0.02),
    ],
    ids=["Hounsfield units", "16 bits", "z-scored"],
)
def test_cw_finds_the_same_change_in_any_units(threat):
    """Oracle: the same physical threat, in units of the input in [0, 1]."""
    model, images = Linear(2), inner_images(8)
    labels, attack = predicted(model, images), registry.build("attack", {"name": "cw", "steps": 50})
    head, scored = SoftmaxHead(num_classes=2), threat.low != 0.0
    plain = run_attack(model, images, labels, attack=attack, threat=ThreatModel(norm="l2", eps=0.6), head=head)
    other, x = (
        (Changed(model, lambda inner, z: inner(z * 0.02 + 0.485)), (images - 0.485) / 0.02)
        if scored
        else (model, images)
    )
    found = run_attack(other, x, labels, attack=attack, threat=threat, head=head)
    assert bool(plain.success.any())
    assert torch.equal(found.success, plain.success)
    lengths = found.distances * 0.6 / threat.eps
    torch.testing.assert_close(lengths, plain.distances, rtol=1e-2, atol=1e-4, equal_nan=True)


def test_square_needs_no_gradient():
    """Trap: rounding hides every gradient; the model itself is as weak as before."""
    model, images = Linear(2), inner_images(12)
    hidden = Changed(model, lambda inner, x: inner((x * 64).round() / 64))
    labels = predicted(hidden, images)
    common = {"threat": ThreatModel(eps=0.3), "head": SoftmaxHead(num_classes=2)}
    blind = run_attack(hidden, images, labels, attack=PGD(random_start=False), **common)
    square = run_attack(hidden, images, labels, attack=Square(queries=200), **common)
    whole = run_attack(
        hidden, images, labels, attack=Ensemble(steps=5, restarts=1, queries=5, blind_queries=200), **common
    )
    assert blind.flags["zero_gradient"] == 1
    assert int(square.success.sum()) > int(blind.success.sum())
    assert int(whole.success.sum()) >= int(square.success.sum()) - 1
