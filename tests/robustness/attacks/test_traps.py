"""Planted traps come out INVALID or as broken as they are.

Oracles: each trap is built from an honest twin that decides the same on every image, so that it is exactly as robust
as the twin, whatever its gradients say.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from robustness.attacks.apgd import APGD
from robustness.attacks.enforcer import check_points, run_attack
from robustness.attacks.noise import Noise
from robustness.attacks.threat import ThreatModel
from robustness.attacks.validity import valid
from tests.robustness.attacks.subjects import (
    BROKEN,
    GREY,
    INVALID,
    NUM,
    QUARTERS,
    SIDE,
    TRAIN,
    Subject,
    checks,
    classes,
    films,
    findings,
    mask,
    measure,
    network,
    trained,
    verdict,
    z_scored,
)


class Wrapped(nn.Module):
    """Does something between images and model, or between model and logits."""

    def __init__(self, model: nn.Module, before: Callable[[Tensor], Tensor], after: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.before, self.after = model, before, after

    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.model(self.before(images)))


def same(values: Tensor) -> Tensor:
    return values


def around(before: Callable[[Tensor], Tensor] = same, after: Callable[[Tensor], Tensor] = same) -> Subject:
    return replace(classes(), model=Wrapped(classes().model, before, after).eval())


def dead(logits: Tensor) -> Tensor:
    """The same decisions, from a ReLU that is flat wherever one class leads: one-hot logits, no slope."""
    leads = (logits >= logits.amax(dim=1, keepdim=True)).to(logits.dtype)
    return leads + 0.0 * logits


def left_in_train_mode() -> Subject:
    images, present, _ = films(TRAIN + NUM, 1)
    model = trained(
        network(3, "batch"), images[:TRAIN], present[:TRAIN].sum(1).clamp(max=2).long(), functional.cross_entropy
    )
    return replace(classes("batch"), model=model.train())


def all_negative() -> Subject:
    subject = findings()
    generator = torch.Generator().manual_seed(9)
    empty = (0.35 + 0.04 * torch.randn((NUM, 1, SIDE, SIDE), generator=generator)).clamp(0, 1)
    return replace(subject, images=empty, labels=torch.zeros(NUM, QUARTERS))


def constant() -> Subject:
    subject = classes()
    return replace(subject, model=Wrapped(subject.model, same, lambda logits: 0.0 * logits), labels=torch.zeros(NUM))


def forgetful() -> Subject:
    """Counts its calls in a buffer: not the model that was trained any more."""
    subject = classes()

    class Counts(Wrapped):
        def __init__(self) -> None:
            super().__init__(subject.model, same, same)
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, images: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(images)

    return replace(subject, model=Counts())


TRAPS: dict[str, tuple[Callable[[], Subject], Callable[[], Subject], str]] = {
    "logits x30": (lambda: around(after=lambda z: 30 * z), classes, BROKEN),
    "log_softmax head": (lambda: around(after=lambda z: z.log_softmax(dim=1)), classes, BROKEN),
    "z-scored input, range of [0, 1]": (lambda: z_scored(right=False), classes, INVALID),
    "dead ReLU": (lambda: around(after=dead), classes, INVALID),
    "BatchNorm left in train mode": (left_in_train_mode, lambda: classes("batch"), BROKEN),
    "all-negative labels": (all_negative, all_negative, BROKEN),
    "constant model": (constant, constant, INVALID),
    "quantised input": (lambda: around(before=lambda x: (x * 15).round() / 15), classes, INVALID),
    "input shattered by a saw": (lambda: around(before=lambda x: x + 0.004 * (3000 * x).sin()), classes, INVALID),
    "noise in the forward pass": (lambda: around(before=lambda x: x + 0.02 * torch.randn_like(x)), classes, INVALID),
    "writes to itself": (forgetful, classes, INVALID),
    "infinite slope": (lambda: around(after=lambda z: z + 0 * (z - z.detach()).abs().sqrt()), classes, INVALID),
}
"""Name -> the trap, its honest twin, and the verdict."""


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_comes_out_invalid_or_as_broken_as_it_is(name: str) -> None:
    trap, twin, expected = TRAPS[name]
    honest = measure(twin()).robust_share
    assert verdict(trap(), honest) == expected


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_shattered_segmentation_does_no_more_than_noise(outputs: int) -> None:
    """The saw turns every slope into one of random sign, so that steps along it are noise."""
    honest = mask(outputs)
    saw = Wrapped(honest.model, lambda x: x + 0.004 * (3000 * x).sin(), same).eval()
    failed = {finding.name for finding in checks(replace(honest, model=saw)) if not finding.holds}
    assert "beats_noise" in failed


def test_an_all_negative_film_is_broken_by_the_findings_that_it_gains() -> None:
    # oracle: a plain PGD of ten steps on the sum of the logits
    subject = all_negative()
    points = subject.images
    for _ in range(10):
        points = points.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(subject.model(points).exp().sum(), points)
        points = subject.images + (points + 2 / 255 * gradient.sign() - subject.images).clamp(-8 / 255, 8 / 255)
    with torch.no_grad():
        reached = (subject.model(points.clamp(0, 1)) > 0).any(dim=1).float().mean()
    assert float(reached) > 0.3
    assert 1 - measure(subject).robust_share >= float(reached) - 1e-6


def test_eps_in_the_wrong_units_is_refused() -> None:
    with pytest.raises(ValueError, match=r"use ThreatModel\.grey_levels"):
        ThreatModel(eps=8.0)


def test_a_perturbation_above_eps_does_not_count() -> None:
    subject = classes()
    points = (subject.images + 8.0 * torch.randn_like(subject.images).sign()).clamp(0, 1)  # 8 meant as grey levels
    with torch.no_grad():
        assert bool((subject.model(points).argmax(dim=1) != subject.labels).any())
    found = check_points(
        subject.model,
        subject.images,
        points,
        subject.labels,
        attack_name="wrong units",
        threat=GREY,
        head=subject.head,
    )
    assert found.flags["out_of_bounds"] > 0.9
    assert torch.equal(found.success, found.clean_success)


def test_a_measurement_no_better_than_noise_is_invalid() -> None:
    subject = classes()
    weak = run_attack(
        subject.model, subject.images, subject.labels, attack=Noise(draws=1), threat=GREY, head=subject.head
    )
    failed = {finding.name for finding in checks(subject, weak) if not finding.holds}
    assert failed == {"measured_not_weaker"}


def test_a_measurement_by_a_strong_attack_is_not() -> None:
    subject = classes()
    strong = run_attack(subject.model, subject.images, subject.labels, attack=APGD(), threat=GREY, head=subject.head)
    assert valid(checks(subject, strong))
