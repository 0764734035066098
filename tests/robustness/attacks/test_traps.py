"""Planted traps come out INVALID or as broken as they are; honest models raise no alarm.

Oracles: each trap is built from an honest twin that decides the same on every image, so that it is exactly as robust
as the twin, whatever its gradients say; the honest models are ordinary ones, trained here in a second each.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from robustness.attacks.apgd import APGD
from robustness.attacks.contract import AttackError
from robustness.attacks.enforcer import check_points, run_attack
from robustness.attacks.ensemble import Ensemble
from robustness.attacks.heads import DenseSigmoidHead, DenseSoftmaxHead, Head, MultiLabelHead, SigmoidHead, SoftmaxHead
from robustness.attacks.noise import Noise
from robustness.attacks.result import AttackResult
from robustness.attacks.threat import ThreatModel
from robustness.attacks.validity import Finding, check_validity, valid

SIDE, NUM, TRAIN = 12, 32, 256
CONTRAST = 0.1
"""Of a bright quarter; eps moves each side by 0.03."""
GREY = ThreatModel.grey_levels(8)
QUARTERS = 4
ATTACK = Ensemble(steps=20, restarts=1, queries=50, blind_queries=200)
INVALID, BROKEN, ROBUST = "INVALID", "broken", "robust"


@dataclass(frozen=True, eq=False)
class Subject:
    """A model with the images and labels that it is measured on."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    head: Head
    threat: ThreatModel = GREY


def films(number: int, seed: int, contrast: float = CONTRAST) -> tuple[Tensor, Tensor, Tensor]:
    """Images with bright quarters; which quarters are bright (batch, 4); their masks."""
    generator = torch.Generator().manual_seed(seed)
    present = (torch.rand((number, QUARTERS), generator=generator) < 0.4).float()
    half = SIDE // 2
    cells = present.reshape(number, 1, 2, 2).repeat_interleave(half, 2).repeat_interleave(half, 3)
    images = 0.35 + contrast * cells + 0.04 * torch.randn((number, 1, SIDE, SIDE), generator=generator)
    return images.clamp(0, 1), present, cells


def trained(
    model: nn.Module, images: Tensor, labels: Tensor, loss: Callable[..., Tensor], eps: float = 0.0
) -> nn.Module:
    """200 steps of Adam; with ``eps`` on images moved by one step of FGSM from a random start (Wong et al., 2020)."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(200):
        rows = torch.randint(0, len(images), (64,), generator=generator)
        points = images[rows]
        if eps:
            start = points + eps * (2 * torch.rand(points.shape, generator=generator) - 1)
            start.requires_grad_(True)
            (gradient,) = torch.autograd.grad(loss(model(start), labels[rows]), start)
            change = (start.detach() + 1.25 * eps * gradient.sign() - points).clamp(-eps, eps)
            points = (points + change).clamp(0, 1)
        optimizer.zero_grad()
        loss(model(points), labels[rows]).backward()
        optimizer.step()
    return model.eval()


def network(outputs: int, norm: str = "group") -> nn.Module:
    torch.manual_seed(0)
    middle = nn.BatchNorm2d(8) if norm == "batch" else nn.GroupNorm(2, 8)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1),
        middle,
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(8 * 36, 16),
        nn.SiLU(),
        nn.Linear(16, outputs),
    )


def dense_network(outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 5, 1, 2), nn.ReLU(), nn.Conv2d(8, outputs, 5, 1, 2))


bce = functional.binary_cross_entropy_with_logits


@cache
def classes(norm: str = "group", eps: float = 0.0) -> Subject:
    """How many quarters are bright: 0, 1, or more."""
    images, present, _ = films(TRAIN + NUM, 1)
    labels = present.sum(dim=1).clamp(max=2).long()
    model = trained(network(3, norm), images[:TRAIN], labels[:TRAIN], functional.cross_entropy, eps)
    return Subject(model, images[TRAIN:], labels[TRAIN:], SoftmaxHead(num_classes=3))


@cache
def one_sigmoid(eps: float = 0.0) -> Subject:
    """Is the first quarter bright?"""
    images, present, _ = films(TRAIN + NUM, 2)
    labels = present[:, :1]
    model = trained(network(1), images[:TRAIN], labels[:TRAIN], bce, eps)
    return Subject(model, images[TRAIN:], labels[TRAIN:], SigmoidHead())


@cache
def findings() -> Subject:
    """Which quarters are bright?"""
    images, present, _ = films(TRAIN + NUM, 3)
    model = trained(network(QUARTERS), images[:TRAIN], present[:TRAIN], bce)
    return Subject(model, images[TRAIN:], present[TRAIN:], MultiLabelHead(num_findings=QUARTERS))


@cache
def linear() -> Subject:
    """Logistic regression."""
    images, present, _ = films(TRAIN + NUM, 4)
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 1))
    model = trained(layers, images[:TRAIN], present[:TRAIN, :1], bce)
    return Subject(model, images[TRAIN:], present[TRAIN:, :1], SigmoidHead())


@cache
def mask(outputs: int) -> Subject:
    """Which pixels lie in a bright quarter?"""
    images, present, cells = films(TRAIN + NUM, 5, contrast=0.05)
    some = present.any(dim=1)
    labels = cells if outputs == 1 else cells[:, 0].long()
    model = trained(
        dense_network(outputs), images[:TRAIN], labels[:TRAIN], bce if outputs == 1 else functional.cross_entropy
    )
    head = DenseSigmoidHead() if outputs == 1 else DenseSoftmaxHead(num_classes=2)
    return Subject(model, images[TRAIN:][some[TRAIN:]], labels[TRAIN:][some[TRAIN:]], head)


class Standardised(nn.Module):
    """A model of z-scored images that decides as ``model`` does on those in [0, 1]."""

    MEAN, STD = 0.4, 0.1

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images * self.STD + self.MEAN)


def z_scored(right: bool) -> Subject:
    """With the threat model of its own units, or with that of images in [0, 1]."""
    honest = classes()
    images = (honest.images - Standardised.MEAN) / Standardised.STD
    threat = GREY.z_scored(Standardised.MEAN, Standardised.STD) if right else GREY
    return replace(honest, model=Standardised(honest.model), images=images, threat=threat)


def measure(subject: Subject) -> AttackResult:
    return run_attack(
        subject.model, subject.images, subject.labels, attack=ATTACK, threat=subject.threat, head=subject.head
    )


def checks(subject: Subject, measured: AttackResult | None = None) -> tuple[Finding, ...]:
    return check_validity(
        subject.model, subject.images, subject.labels, threat=subject.threat, head=subject.head, measured=measured
    )


def verdict(subject: Subject, robust_share: float) -> str:
    """What an audit would say, where ``robust_share`` is what an honest measurement of the same decisions gives."""
    try:
        measured = measure(subject)
        found = checks(subject, measured)
    except AttackError:
        return INVALID
    if not valid(found):
        return INVALID
    return BROKEN if measured.robust_share <= robust_share else ROBUST


HONEST: dict[str, Callable[[], Subject]] = {
    "three classes": classes,
    "BatchNorm in eval mode": lambda: classes("batch"),
    "adversarially trained": lambda: classes("group", 3 / 255),
    "one sigmoid": one_sigmoid,
    "one sigmoid, adversarially trained": lambda: one_sigmoid(8 / 255),
    "four findings": findings,
    "logistic regression": linear,
    "mask, one channel": lambda: mask(1),
    "mask, two channels": lambda: mask(2),
    "z-scored, right units": lambda: z_scored(right=True),
    "L2": lambda: replace(classes(), threat=ThreatModel(norm="l2", eps=0.3)),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_model_raises_no_alarm(name: str) -> None:
    subject = HONEST[name]()
    measured = measure(subject)
    assert float(measured.clean_success.float().mean()) <= 0.2, "the model must have learnt its task"
    assert [finding for finding in checks(subject, measured) if not finding.holds] == []


def test_adversarial_training_shows_in_the_measurement() -> None:
    # so that "no alarm" is said of a model that is really more robust, too
    assert measure(one_sigmoid(8 / 255)).robust_share > measure(one_sigmoid()).robust_share


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
