"""Small models of every head that learn bright quarters in a second each, and what an audit would say of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from robustness.attacks.contract import AttackError
from robustness.attacks.enforcer import run_attack
from robustness.attacks.ensemble import Ensemble
from robustness.attacks.heads import DenseSigmoidHead, DenseSoftmaxHead, Head, MultiLabelHead, SigmoidHead, SoftmaxHead
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
def findings(eps: float = 0.0) -> Subject:
    """Which quarters are bright?"""
    images, present, _ = films(TRAIN + NUM, 3)
    model = trained(network(QUARTERS), images[:TRAIN], present[:TRAIN], bce, eps)
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
def mask(outputs: int, eps: float = 0.0) -> Subject:
    """Which pixels lie in a bright quarter?"""
    images, present, cells = films(TRAIN + NUM, 5, contrast=0.05)
    some = present.any(dim=1)
    labels = cells if outputs == 1 else cells[:, 0].long()
    loss = bce if outputs == 1 else functional.cross_entropy
    model = trained(dense_network(outputs), images[:TRAIN], labels[:TRAIN], loss, eps)
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
