"""Segmentation losses. Oracles: numbers by hand, and laws (limits of the weights, cross-entropy's own gradient, hard
Dice, the sigmoid head as a softmax head of two choices, nothing from units that do not count)."""

import math

import pytest
import torch
from torch import Tensor

from medfed.metrics.segmentation import dice
from robustness.attacks.objective import ANY, Objective
from robustness.attacks.segmentation.losses import (
    SEGMENTATION_LOSSES,
    cos_pgd,
    cross_entropy,
    masked_margin,
    seg_pgd,
    soft_dice,
)


def objective(labels: Tensor, targets: Tensor | None = None, active: Tensor | None = None, **fields: int) -> Objective:
    return Objective(
        labels,
        torch.full_like(labels, ANY) if targets is None else targets,
        torch.ones_like(labels, dtype=torch.bool) if active is None else active,
        torch.ones(len(labels)),
        **fields,
    )


def two_sided(logits: Tensor) -> Tensor:
    return torch.stack([-logits / 2, logits / 2], dim=1)


# Two pixels, both labelled 1: p(1) = 3/4 and 1/5, so the first is not won and the second is.
SCORES = two_sided(torch.tensor([[math.log(3.0), math.log(1 / 4)]]))
LABELS = torch.tensor([[1, 1]])
CE = (-math.log(0.75), -math.log(0.2))


def test_cross_entropy_by_hand() -> None:
    assert float(cross_entropy(SCORES, objective(LABELS))) == pytest.approx(sum(CE) / 2)


def test_seg_pgd_by_hand() -> None:
    """lambda = .3 / 2: weights .85 on the pixel that is still right and .15 on the wrong one."""
    assert float(seg_pgd(SCORES, objective(LABELS), 0.3)) == pytest.approx((0.85 * CE[0] + 0.15 * CE[1]) / 2)


def test_seg_pgd_starts_with_the_pixels_not_won_and_ends_with_all_alike() -> None:
    assert float(seg_pgd(SCORES, objective(LABELS), 0.0)) == pytest.approx(CE[0] / 2)
    assert float(seg_pgd(SCORES, objective(LABELS), 1.0)) == pytest.approx(sum(CE) / 4)


def test_cos_pgd_by_hand() -> None:
    cosines = (0.75 / math.hypot(0.75, 0.25), 0.2 / math.hypot(0.2, 0.8))
    expected = (cosines[0] * CE[0] + cosines[1] * CE[1]) / 2
    assert float(cos_pgd(SCORES, objective(LABELS))) == pytest.approx(expected)


def test_no_gradient_goes_through_the_cosine() -> None:
    """The gradient of cross-entropy, p - onehot, times the cosine."""
    scores = SCORES.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(cos_pgd(scores, objective(LABELS)).sum(), scores)
    p = torch.tensor([0.75, 0.2])
    cosine = p / (p**2 + (1 - p) ** 2).sqrt()
    torch.testing.assert_close(gradient[0, 0], cosine * (1 - p) / 2)
    torch.testing.assert_close(gradient[0, 1], -cosine * (1 - p) / 2)


def test_towards_a_target_by_hand() -> None:
    """Both pixels are labelled 1 and wanted 0: p(0) = 1/4 (not won) and 4/5 (won)."""
    aim = objective(LABELS, targets=torch.zeros_like(LABELS))
    gains = (math.log(0.25), math.log(0.8))
    cosines = (0.25 / math.hypot(0.75, 0.25), 0.8 / math.hypot(0.2, 0.8))
    assert float(cross_entropy(SCORES, aim)) == pytest.approx(sum(gains) / 2)
    assert float(seg_pgd(SCORES, aim, 0.3)) == pytest.approx((0.85 * gains[0] + 0.15 * gains[1]) / 2)
    weighted = (1 - cosines[0]) * gains[0] + (1 - cosines[1]) * gains[1]
    assert float(cos_pgd(SCORES, aim)) == pytest.approx(weighted / 2)
    assert float(masked_margin(SCORES, aim)) == pytest.approx((-math.log(3.0) + 1 + 0.01 * (math.log(4.0) - 1)) / 2)
    wanted = (2 * (0.25 + 0.8) + 1) / (0.25 + 0.8 + 2 + 1)
    assert float(soft_dice(SCORES, aim)) == pytest.approx(wanted - 1)  # no unit is driven away: (0 + 1) / (0 + 1)


def test_soft_dice_by_hand() -> None:
    labels = torch.tensor([[1, 0]])
    expected = 1 - (2 * 0.75 + 1) / (0.75 + 0.2 + 1 + 1)
    assert float(soft_dice(SCORES, objective(labels))) == pytest.approx(expected)


def test_soft_dice_of_sure_predictions_is_dice() -> None:
    """With large masks and p = 0 or 1 it is 1 - Dice up to the smoothing, class by class (medfed.metrics)."""
    generator = torch.Generator().manual_seed(1)
    predicted, truth = (torch.randint(0, 3, (2, 100, 100), generator=generator) for _ in range(2))
    scores = 200.0 * torch.nn.functional.one_hot(predicted.flatten(1), 3).movedim(2, 1).float()
    expected = 1 - dice(predicted, truth, 3)[:, 1:].mean(dim=1).float()
    torch.testing.assert_close(soft_dice(scores, objective(truth.flatten(1))), expected, atol=1e-3, rtol=0)


def test_soft_dice_averages_over_the_findings_of_a_sigmoid_head() -> None:
    logits, labels = torch.tensor([[9.0, -1.0, 0.5, 2.0]]), torch.tensor([[1, 0, 1, 1]])
    both = soft_dice(two_sided(logits), objective(labels, groups=2))
    apart = [soft_dice(two_sided(logits[:, part]), objective(labels[:, part])) for part in (slice(2), slice(2, 4))]
    torch.testing.assert_close(both, torch.stack(apart).mean(dim=0))


def test_soft_dice_of_an_empty_mask_has_a_gradient() -> None:
    scores = SCORES.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(soft_dice(scores, objective(torch.zeros_like(LABELS))).sum(), scores)
    assert bool((gradient[:, 1] > 0).all())


def test_masked_margin_by_hand() -> None:
    """-log 3 for the pixel that is right; the wrong one counts little more than 1, not log 4."""
    expected = (-math.log(3.0) + 1 + 0.01 * (math.log(4.0) - 1)) / 2
    assert float(masked_margin(SCORES, objective(LABELS))) == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(SEGMENTATION_LOSSES))
def test_an_image_whose_pixels_are_all_won_has_a_gradient(name: str) -> None:
    """Else it would be taken for a model without gradients."""
    scores = two_sided(torch.tensor([[-8.0, 6.0]])).requires_grad_(True)
    aim = objective(torch.tensor([[1, 0]]))
    (gradient,) = torch.autograd.grad(SEGMENTATION_LOSSES[name](scores, aim, 0.5).sum(), scores)
    assert bool((gradient != 0).all())


@pytest.mark.parametrize("name", sorted(SEGMENTATION_LOSSES))
@pytest.mark.parametrize("targeted", [False, True])
def test_units_that_do_not_count_have_no_gradient(name: str, targeted: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn((3, 3, 8), generator=generator).requires_grad_(True)
    labels = torch.randint(0, 3, (3, 8), generator=generator)
    labels[0, 0] = -1
    active = (torch.rand((3, 8), generator=generator) < 0.5) & (labels >= 0)
    active[2] = False
    aim = objective(labels, (labels + 1) % 3 if targeted else None, active)
    (gradient,) = torch.autograd.grad(SEGMENTATION_LOSSES[name](scores, aim, 0.5).sum(), scores)
    assert bool(gradient.isfinite().all())
    assert float(gradient.movedim(1, 2)[~active].abs().max()) == 0.0
    assert float(gradient.abs().max()) > 0.0


@pytest.mark.parametrize("name", sorted(SEGMENTATION_LOSSES))
def test_a_constant_added_to_the_scores_of_a_pixel_changes_nothing(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    scores, shift = torch.randn((2, 3, 8), generator=generator), torch.randn((2, 1, 8), generator=generator)
    aim = objective(torch.randint(0, 3, (2, 8), generator=generator))
    loss = SEGMENTATION_LOSSES[name]
    torch.testing.assert_close(loss(scores + shift, aim, 0.5), loss(scores, aim, 0.5))


@pytest.mark.parametrize("name", sorted(SEGMENTATION_LOSSES))
def test_the_scale_of_the_objective_undoes_a_factor_on_the_scores(name: str) -> None:
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn((2, 3, 8), generator=generator)
    aim = objective(torch.randint(0, 3, (2, 8), generator=generator))
    scaled = Objective(aim.labels, aim.targets, aim.active, torch.full((2,), 32.0))
    loss = SEGMENTATION_LOSSES[name]
    torch.testing.assert_close(loss(32 * scores, scaled, 0.5), loss(scores, aim, 0.5))
