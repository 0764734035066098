"""Models that numpy, writing in place or a flat slope make awkward.

Oracle: a twin that decides the same on every image and is an ordinary model; slopes planted by hand.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robustness.attacks import MIFGSM, PGD, Square, Universal
from robustness.attacks.contract import Attack
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import SoftmaxHead
from robustness.attacks.result import AttackResult
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.setups import Changed, Linear, inner_images, predicted

Change = Callable[[nn.Module, Tensor], Tensor]


def plain(inner: nn.Module, x: Tensor) -> Tensor:
    return inner(x)


def in_numpy(inner: nn.Module, x: Tensor) -> Tensor:
    return inner(torch.from_numpy(x.numpy()))


def standardised(inner: nn.Module, x: Tensor) -> Tensor:
    return inner((x - 0.5) / 0.25)


def standardised_in_place(inner: nn.Module, x: Tensor) -> Tensor:
    return inner(x.sub_(0.5).div_(0.25))


def flat(inner: nn.Module, x: Tensor) -> Tensor:
    """The slope is exactly zero."""
    return inner(x.detach() + 0 * x)


def steep(inner: nn.Module, x: Tensor) -> Tensor:
    """The slope of a square root at zero is infinite."""
    return inner(x + (x - x.detach()).sqrt())


def attacked(change: Change, attack: Attack, images: Tensor, twin: Change = plain, eps: float = 0.05) -> AttackResult:
    """With the twin's answers as labels, so that every clean image is right."""
    return run_attack(
        Changed(Linear(3), change),
        images,
        predicted(Changed(Linear(3), twin), images),
        attack=attack,
        threat=ThreatModel(eps=eps),
        head=SoftmaxHead(num_classes=3),
    )


def test_a_model_in_numpy_is_attacked_without_gradients() -> None:
    found, twin = (attacked(change, Square(queries=40), inner_images(24)) for change in (in_numpy, plain))
    assert torch.equal(found.adversarial, twin.adversarial)
    assert int(found.success.sum()) > 0


@pytest.mark.parametrize("attack", [PGD(), Square(queries=40)], ids=["pgd", "square"])
def test_a_model_that_standardises_in_place_is_attacked_like_its_twin(attack: Attack) -> None:
    images, twin = inner_images(24), attacked(standardised, attack, inner_images(24), standardised)
    found = attacked(standardised_in_place, attack, images, standardised)
    assert torch.equal(images, inner_images(24))
    assert torch.equal(found.adversarial, twin.adversarial)
    assert int(found.success.sum()) > 0


@pytest.mark.parametrize("attack", [PGD(), MIFGSM(), MIFGSM(diversity=1.0), Universal()], ids=repr)
@pytest.mark.parametrize(
    ("change", "zero", "nonfinite"),
    [(plain, 0.0, 0.0), (flat, 1.0, 0.0), (steep, 0.0, 1.0)],
    ids=["plain", "flat", "steep"],
)
def test_every_gradient_attack_flags_flat_and_infinite_slopes(
    attack: Attack, change: Change, zero: float, nonfinite: float
) -> None:
    """MIFGSM and Universal take gradients at points that are no answer."""
    found = attacked(change, attack, inner_images(8), eps=1e-4)
    assert found.flags["zero_gradient"] == zero
    assert found.flags["nonfinite_gradient"] == nonfinite


def test_a_slope_that_ends_where_the_model_is_wrong_is_not_dead() -> None:
    """Universal keeps fooled images in its mean, and its loss is cut off there."""
    found = attacked(plain, Universal(), inner_images(24), eps=0.2)
    assert int(found.success.sum()) > 0
    assert found.flags["zero_gradient"] == 0.0
