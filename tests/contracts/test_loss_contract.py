"""What every loss must do on a tiny input; a new line in LOSSES is picked up by itself. Oracle: the Loss protocol."""

import pytest
import torch
from torch import Tensor

from medfed.training.losses import LOSSES
from medfed.training.losses.contract import Loss

CASES = [
    pytest.param(name, head, kind, id=f"{name}-{head}-{kind}")
    for name, cls in LOSSES.items()
    for head in cls.heads
    for kind in cls.kinds
]
every_loss = pytest.mark.parametrize(("name", "head", "kind"), CASES)


def _batch(head: str, kind: str) -> tuple[Tensor, Tensor, int]:
    generator = torch.Generator().manual_seed(3)
    num_classes = 2 if head == "sigmoid" else 3
    shape = (4,) if kind == "classification" else (4, 6, 5)
    targets = torch.randint(num_classes, shape, generator=generator)
    outputs = 1 if head == "sigmoid" else num_classes
    return torch.randn(4, outputs, *shape[1:], generator=generator), targets, num_classes


def _confident(targets: Tensor, num_classes: int, head: str, strength: float) -> Tensor:
    if head == "sigmoid":
        return strength * (2.0 * targets.unsqueeze(1).float() - 1.0)
    return strength * torch.nn.functional.one_hot(targets, num_classes).movedim(-1, 1).float()


@every_loss
def test_keeps_the_protocol(name, head, kind):
    assert isinstance(LOSSES[name](), Loss)
    assert set(LOSSES[name].heads) <= {"softmax", "sigmoid"}
    assert set(LOSSES[name].kinds) <= {"classification", "segmentation"}


@every_loss
def test_is_a_finite_scalar_with_gradients(name, head, kind):
    logits, targets, num_classes = _batch(head, kind)
    logits.requires_grad_()
    for counts in (None, torch.arange(num_classes)):  # the first class is absent at this site
        loss = LOSSES[name]()(logits, targets, counts)
        assert loss.shape == ()
        assert loss.isfinite()
        (gradient,) = torch.autograd.grad(loss, logits)
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


@every_loss
def test_is_near_zero_for_the_truth_and_larger_for_its_opposite(name, head, kind):
    _, targets, num_classes = _batch(head, kind)
    right = LOSSES[name]()(_confident(targets, num_classes, head, 30.0), targets, None)
    wrong = LOSSES[name]()(_confident(targets, num_classes, head, -30.0), targets, None)
    assert 0.0 <= right < 1e-4
    assert wrong > 0.5


@every_loss
def test_a_step_against_the_gradient_lowers_it(name, head, kind):
    logits, targets, _ = _batch(head, kind)
    logits.requires_grad_()
    before = LOSSES[name]()(logits, targets, None)
    (gradient,) = torch.autograd.grad(before, logits)
    step = 1e-2 * gradient / gradient.norm()
    assert LOSSES[name]()(logits.detach() - step, targets, None) < before


@every_loss
def test_the_order_of_the_images_does_not_matter(name, head, kind):
    logits, targets, _ = _batch(head, kind)
    order = torch.tensor([2, 0, 3, 1])
    loss = LOSSES[name]()
    torch.testing.assert_close(loss(logits[order], targets[order], None), loss(logits, targets, None))
