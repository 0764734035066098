"""Points that the attack matrix compares torchattacks with: ours, a plain PGD-10, and noise."""

import torch
from torch import Tensor

from medfed.registry import table
from robustness.attacks.enforcer import run_attack
from robustness.attacks.ensemble import Ensemble
from robustness.attacks.projection import Bounds
from robustness.attacks.threat import ThreatModel
from simulations.benchmarks.attack_matrix.case import Case

OURS: dict[str, tuple[str, ...]] = {"linf": ("ensemble",), "l2": ("ensemble",), "l0": ("one_pixel",)}
"""Norm -> names in the table of attacks, the first that is there."""


def reference_pgd(case: Case, threat: ThreatModel) -> Tensor:
    """PGD-10 from the image itself, with the right loss for the head: the attack that a careful person would write."""
    bounds, points = Bounds.of(threat, case.images), case.images
    for _ in range(10):
        points = points.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(case.cross_entropy(case.model(points)).sum(), points)
        if threat.norm == "linf":
            change = points.detach() + 0.25 * bounds.step * gradient.sign() - case.images
            change = change.clamp(-float(bounds.step), float(bounds.step))
        else:
            length = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None, None]
            change = points.detach() + 0.25 * bounds.eps * gradient / length - case.images
            length = change.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None, None]
            change = change * (bounds.eps / length).clamp(max=1)
        points = (case.images + change).clamp(0, 1)
    return points.detach()


def noise(case: Case, threat: ThreatModel, seed: int) -> Tensor:
    """Random points as far away as the threat model allows, before the range cuts them."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, case.images.shape, generator=generator) * 2.0 - 1
    step = float(Bounds.of(threat, case.images).step)
    size = step if threat.norm == "linf" else step / case.images[0].numel() ** 0.5
    if threat.norm == "l0":
        order = torch.rand(case.images.shape, generator=generator).flatten(1)
        chosen = order >= order.topk(int(threat.eps), dim=1).values[:, -1:]
        return torch.where(chosen.reshape(case.images.shape), (signs + 1) / 2, case.images)
    return (case.images + size * signs).clamp(0, 1)


def our_points(case: Case, threat: ThreatModel) -> Tensor:
    """The worst points of our own attack for this head and norm; the clean images where none of ours serves."""
    ours = table("attack")
    name = next((name for name in OURS[threat.norm] if name in ours), None)
    if name is None:
        return case.images
    if case.head.dense and name == "ensemble":
        name = "segmentation_worst"
    attack = Ensemble(steps=20, restarts=1, blind_queries=200) if name == "ensemble" else ours[name]()
    found = run_attack(
        case.model, case.images, case.labels, attack=attack, threat=threat, head=case.head, criterion=case.criterion
    )
    return found.adversarial
