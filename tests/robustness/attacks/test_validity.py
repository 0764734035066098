"""Planted traps are INVALID, honest models are not. Oracle: the trap is built in, so the answer is known."""

import functools

import pytest
import torch
from torch import nn

from robustness.attacks import PGD
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import SigmoidHead, SoftmaxHead
from robustness.attacks.result import AttackResult
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel
from robustness.attacks.validity import Probe, _monotone, check_validity, valid
from tests.robustness.attacks.setups import Changed, Linear, inner_images, pneumonia_films, pneumonia_model, predicted

COUNT = 16


class Counting(nn.Module):
    """Writes to a buffer in every pass."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images):
        self.calls += 1
        return images.flatten(1)[:, :1]


TRAPS = {
    "constant": (lambda inner, x: inner(x) * 0 + 1.0, "large_eps"),
    "rounded": (lambda inner, x: inner((x * 4).round() / 4), "gradients"),
    "detached": (lambda inner, x: inner(x.detach()) + 0 * x.sum(), "gradients"),
    "saturated": (lambda inner, x: torch.sigmoid(1e4 * inner(x)) - 0.5, "gradients"),
    "random": (lambda inner, x: inner(x + 0.05 * torch.randn_like(x)), "repeatable"),
    "nan gradient": (lambda inner, x: inner(x) + 0 * (x * 0).sqrt().sum(), "gradients"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_invalid(trap):
    change, name = TRAPS[trap]
    images, labels = pneumonia_films(COUNT)
    findings = check_validity(
        Changed(pneumonia_model(), change), images, labels, threat=ThreatModel.grey_levels(4), head=SigmoidHead()
    )
    assert not valid(findings)
    assert name in {finding.name for finding in findings if not finding.holds}


def test_a_model_that_writes_to_itself_is_invalid():
    images, labels = pneumonia_films(COUNT)
    findings = check_validity(Counting(), images, labels, threat=ThreatModel(eps=0.1), head=SigmoidHead())
    assert [finding.name for finding in findings] == ["side_effects"]
    assert "calls" in findings[0].expected


HONEST = {
    "plain": lambda inner, x: inner(x),
    "times 30": lambda inner, x: 30 * inner(x),
    "smoothed": lambda inner, x: inner(nn.functional.avg_pool2d(x, 3, 1, 1)),
}


@functools.cache
def _weak_measurement():
    images, labels = pneumonia_films(COUNT)
    return run_attack(
        pneumonia_model(),
        images,
        labels,
        attack=PGD(steps=1, step=1e-6, random_start=False),
        threat=ThreatModel.grey_levels(4),
        head=SigmoidHead(),
    )


@pytest.mark.parametrize("model", HONEST)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_honest_model_is_not(model, norm):
    images, labels = pneumonia_films(COUNT)
    threat = ThreatModel.grey_levels(4 if norm == "linf" else 128, norm=norm)
    findings = check_validity(
        Changed(pneumonia_model(), HONEST[model]), images, labels, threat=threat, head=SigmoidHead()
    )
    assert [finding for finding in findings if not finding.holds] == []


def test_linear_models_are_not():
    model, images = Linear(3), inner_images(COUNT)
    findings = check_validity(
        model,
        images,
        predicted(model, images),
        threat=ThreatModel(eps=0.05),
        head=SoftmaxHead(num_classes=3),
        settings=RunSettings(seed=1),
    )
    assert [finding for finding in findings if not finding.holds] == []


class Band(nn.Module):
    """Says "yes" unless the mean grey level lies between 96 and 104."""

    def forward(self, images):
        return ((255.0 * images.flatten(1).mean(dim=1) - 100.0).abs() - 4.0)[:, None]


def test_a_class_that_holds_a_narrow_part_of_the_range_is_not():
    """Its steps of a tenth of the range, 25.5 levels, jump over the 8 levels; a quarter of the range reaches as well,
    since no image lies more than 43 levels from them."""
    images = ((128.0 + torch.arange(COUNT)) / 255.0)[:, None, None, None].expand(COUNT, 1, 8, 8).contiguous()
    findings = check_validity(
        Band(), images, torch.ones(COUNT, dtype=torch.long), threat=ThreatModel.grey_levels(8), head=SigmoidHead()
    )
    assert [finding for finding in findings if not finding.holds] == []


@pytest.mark.parametrize("std", [0.229, 0.31, 0.2023])
def test_a_model_of_z_scored_images_is_checked_as_that_of_the_images_themselves(std):
    """The widths of these ranges are not exact in float32."""
    model, images = Linear(3), inner_images(COUNT)
    z_scored = Changed(model, lambda inner, x: inner(x * std + 0.485))
    threat, head = ThreatModel(eps=0.05), SoftmaxHead(num_classes=3)
    labels = predicted(model, images)
    plain = check_validity(model, images, labels, threat=threat, head=head)
    other = check_validity(z_scored, (images - 0.485) / std, labels, threat=threat.z_scored(0.485, std), head=head)
    assert [(finding.name, finding.holds) for finding in other] == [(found.name, found.holds) for found in plain]


def test_a_measurement_weaker_than_pgd_is_invalid():
    images, labels = pneumonia_films(COUNT)
    findings = check_validity(
        pneumonia_model(),
        images,
        labels,
        threat=ThreatModel.grey_levels(4),
        head=SigmoidHead(),
        measured=_weak_measurement(),
    )
    assert [finding.name for finding in findings if not finding.holds] == ["measured_not_weaker"]


def _probe(fooled: dict[float, int], count: int) -> Probe:
    """Of each eps, in the part of the measurement's, how many images fall; the first ones do."""

    def run(attack, threat):
        images, flags = torch.zeros(count, 1, 1, 1), torch.zeros(count)
        success = torch.arange(count) < fooled[threat.eps]
        return AttackResult(
            eligible=flags == 0, clean_success=flags > 0, success=success, adversarial=images, distances=flags,
            clean_damage=flags, damage=flags, forward_images=0, gradient_images=0, cpu_seconds=0.0, flags={}, left={}
        )  # fmt: skip

    return Probe(run, ThreatModel(eps=0.1), PGD(), torch.zeros(count, 1, 1, 1))


@pytest.mark.parametrize(("lost", "holds"), [(0, True), (2, True), (5, True), (6, False), (20, False)])
def test_a_few_images_that_only_a_smaller_eps_fools_are_chance(lost, holds):
    """By hand: the exact interval of 5 of 5 begins at 0.025^(1/5) = 0.478, that of 6 of 6 at 0.541."""
    finding = _monotone(_probe({0.05: 30, 0.1: 30 - lost, 0.2: 30}, 40))
    assert (finding.holds, finding.observed) == (holds, pytest.approx(lost / 40))
