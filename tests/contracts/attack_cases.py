"""Attacks cut short, models of every head, and images on which the contract suite runs them."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from medfed import registry
from medfed.errors import MedfedError
from robustness.attacks.contract import Attack
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import DenseSigmoidHead, DenseSoftmaxHead, Head, MultiLabelHead, SigmoidHead, SoftmaxHead
from robustness.attacks.result import AttackResult
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import Norm, ThreatModel

OWN = "tests.contracts.own_attack:Careless"
SHORT: dict[str, Any] = {
    "steps": 4,
    "queries": 6,
    "blind_queries": 6,
    "draws": 2,
    "generations": 2,
    "population": 4,
    "searches": 2,
    "restarts": 1,
    "angles": 3,
    "shifts": 3,
}
"""Fields that say how long an attack goes on, and what is enough here."""

EPS: dict[Norm, float] = {"linf": 0.1, "l2": 0.5, "l0": 3.0, "patch": 0.1, "spatial": 2.0}
LOW, HIGH, UNIT = 0.1, 0.9, 2.0
SIDE, COUNT = 8, 5


def build(name: str) -> Attack:
    """The attack, short."""
    fields = registry.lookup("attack", name).__pydantic_fields__
    attack: Attack = registry.build("attack", {"name": name, **{k: v for k, v in SHORT.items() if k in fields}})
    return attack


def threat(name: str, norm: Norm, unit: float = UNIT, **fields: Any) -> ThreatModel:
    unit = unit if norm in ("linf", "l2") else 1.0
    eps = math.inf if name == "fooling" and norm in ("linf", "l2") else EPS[norm] * unit
    return ThreatModel(norm=norm, eps=eps, low=LOW, high=HIGH, per_unit=unit, **fields)


def network(outputs: int, dense: bool = False, dimensions: int = 2) -> nn.Module:
    """In training mode, with batch statistics and dropout, so that a wrong mode shows, and with gradients."""
    conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dimensions == 2 else (nn.Conv3d, nn.BatchNorm3d)
    torch.manual_seed(0)
    layers: list[nn.Module] = [conv(1, 4, 3, 1, 1), norm(4), nn.SiLU(), nn.Dropout(0.5)]
    tail: list[nn.Module] = (
        [conv(4, outputs, 1)]
        if dense
        else [nn.Flatten(), nn.Linear(4 * SIDE**2 if dimensions == 2 else 4 * 64, outputs)]
    )
    model = nn.Sequential(*layers, *tail)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return model.train()


def images(count: int = COUNT, dimensions: int = 2) -> Tensor:
    space = (SIDE, SIDE) if dimensions == 2 else (4, 4, 4)
    return LOW + (HIGH - LOW) * torch.rand((count, 1, *space), generator=torch.Generator().manual_seed(1))


SOFTMAX = SoftmaxHead(num_classes=3)
HEADS: dict[str, tuple[Head, int, bool]] = {
    "softmax": (SOFTMAX, 3, False),
    "one sigmoid": (SigmoidHead(), 1, False),
    "multi-label": (MultiLabelHead(num_findings=3), 3, False),
    "mask, sigmoid": (DenseSigmoidHead(), 1, True),
    "mask, softmax": (DenseSoftmaxHead(num_classes=3), 3, True),
}


def answers(model: nn.Module, x: Tensor, head: Head) -> Tensor:
    """What the model says of the clean images, as labels: there is something to fool in every one."""
    training = [module.training for module in model.modules()]
    with torch.no_grad():
        output = model.eval()(x)
    for module, mode in zip(model.modules(), training, strict=True):
        module.training = mode
    one = output.shape[1] == 1 or isinstance(head, MultiLabelHead)
    found = (output > 0).long() if one else output.argmax(dim=1)
    return found if head.dense or isinstance(head, MultiLabelHead) else found.flatten()


def run(name: str, norm: Norm, x: Tensor, head: Head = SOFTMAX, *, unit: float = UNIT, **settings: Any) -> AttackResult:
    dimensions, (_, outputs, dense) = x.ndim - 2, next(case for case in HEADS.values() if case[0] == head)
    model = network(outputs, dense, dimensions)
    labels = answers(model, x, head)
    return run_attack(
        model,
        x,
        labels,
        attack=build(name),
        threat=threat(name, norm, unit),
        head=head,
        settings=RunSettings(**settings),
    )


def served(name: str, norm: Norm, x: Tensor, head: Head = SOFTMAX) -> tuple[AttackResult | None, str]:
    """The result, or why there is none."""
    try:
        return run(name, norm, x, head), ""
    except MedfedError as refusal:
        return None, str(refusal)


def require_inside(found: AttackResult, x: Tensor, aim: ThreatModel) -> None:
    """Every point that came back: inside the range, and not further than eps."""
    points = found.adversarial
    assert points.shape == x.shape
    assert bool(((points >= LOW - 1e-6) & (points <= HIGH + 1e-6)).all())
    change = (points - x) * (UNIT if aim.norm in ("linf", "l2") else 1.0)
    far = {
        "linf": change.abs().flatten(1).amax(dim=1),
        "l2": change.flatten(1).norm(dim=1),
        "l0": (change != 0).any(dim=1).flatten(1).sum(dim=1),
        "patch": (change != 0).any(dim=1).flatten(1).float().mean(dim=1),
        "spatial": torch.zeros(len(x)),
    }[aim.norm]
    assert bool((far <= aim.eps * (1 + 1e-4)).all())
