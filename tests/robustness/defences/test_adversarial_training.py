"""The inner maximum of adversarial training.

Oracles: a linear model, where the worst change of the maximum norm is -eps sign(w) for the second class and
+eps sign(w) for the first, so that the loss at the worst point is the loss of z -+ eps |w|_1; the divergence by hand;
laws for heads that have no closed form.
"""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medfed.training.adversarial import TrainingBatch
from medfed.training.losses import LOSSES
from medfed.types import Task
from robustness.attacks.contract import AttackError
from robustness.attacks.heads import MultiLabelHead, SigmoidHead, SoftmaxHead
from robustness.defences.fast import Fast
from robustness.defences.perturbation import bounds_of, climb, crafting
from robustness.defences.pgd import PGDTraining
from robustness.defences.trades import TRADES, divergence
from tests.robustness.attacks.setups import Changed, Linear, inner_images

SIGMOID = Task("classification", ("a", "b"), "sigmoid", 1, 4)
SOFTMAX = Task("classification", ("a", "b"), "softmax", 1, 4)
EPS = 12.0
"""Grey levels; images from .4 to .6 do not meet the range."""


def _batch(model: nn.Module, images: Tensor, targets: Tensor, task: Task, loss: str) -> TrainingBatch:
    of_logits = partial(LOSSES[loss](), targets=targets, class_counts=torch.tensor([3, 9]))
    return TrainingBatch(model, images, model, of_logits, task, torch.Generator().manual_seed(5))


def _setup(outputs: int) -> tuple[Linear, Tensor, Tensor]:
    model, images = Linear(outputs), inner_images(12)
    return model, images, torch.arange(12) % 2


@pytest.mark.parametrize("plugin", [PGDTraining(eps_grey_levels=EPS, steps=10), Fast(eps_grey_levels=EPS, step=2.0)])
@pytest.mark.parametrize("loss", ["bce", "cross_entropy"])
def test_one_sigmoid_reaches_the_closed_form(plugin, loss):
    model, images, targets = _setup(1)
    reach = EPS / 255 * model.weight.abs().sum()
    worst = model(images) - (2 * targets - 1)[:, None] * reach
    batch = _batch(model, images, targets, SIGMOID, loss)
    assert plugin(batch).item() == pytest.approx(batch.loss(worst).item(), rel=1e-4)
    assert batch.loss(worst) > 1.2 * batch.loss(model(images))


def test_two_softmax_classes_reach_the_closed_form_with_class_weights():
    model, images, targets = _setup(2)
    gap = model.weight[1] - model.weight[0]
    logits = model(images)
    worst = torch.stack([logits[:, 0], logits[:, 1] - (2 * targets - 1) * EPS / 255 * gap.abs().sum()], dim=1)
    batch = _batch(model, images, targets, SOFTMAX, "cross_entropy")
    weighted = LOSSES["cross_entropy"](class_weights="balanced")
    of_logits = partial(weighted, targets=targets, class_counts=torch.tensor([3, 9]))
    batch = TrainingBatch(model, images, model, of_logits, SOFTMAX, batch.generator)
    found = PGDTraining(eps_grey_levels=EPS, steps=10)(batch)
    assert found.item() == pytest.approx(batch.loss(worst).item(), rel=1e-4)


def test_a_step_of_1_25_eps_is_between_noise_and_the_closed_form():
    model, images, targets = _setup(1)
    batch = _batch(model, images, targets, SIGMOID, "bce")
    worst = batch.loss(model(images) - (2 * targets - 1)[:, None] * EPS / 255 * model.weight.abs().sum())
    assert batch.loss(model(images)) < Fast(eps_grey_levels=EPS)(batch) < worst


def test_trades_reaches_the_divergence_at_a_corner():
    """On a linear sigmoid model the divergence grows on either side of z: its maximum is at z + r or z - r."""
    model, images, targets = _setup(1)
    images, targets = images[:1], targets[:1]
    z, reach = model(images).item(), (EPS / 255 * model.weight.abs().sum()).item()
    batch = _batch(model, images, targets, SIGMOID, "bce")
    found = TRADES(eps_grey_levels=EPS, beta=6.0, steps=20)(batch) - batch.loss(model(images))
    p = torch.sigmoid(torch.tensor(z, dtype=torch.float64))

    def by_hand(moved: float) -> float:
        q = torch.sigmoid(torch.tensor(moved, dtype=torch.float64))
        return float(6.0 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()))

    assert found.item() == pytest.approx(by_hand(z - reach), rel=1e-3) or found.item() == pytest.approx(
        by_hand(z + reach), rel=1e-3
    )


@pytest.mark.parametrize("head", [SoftmaxHead(num_classes=3), SigmoidHead(), MultiLabelHead(num_findings=3)])
def test_the_divergence_is_that_of_torch_distributions(head):
    generator = torch.Generator().manual_seed(2)
    outputs = 1 if isinstance(head, SigmoidHead) else 3
    clean, moved = torch.randn(4, outputs, generator=generator), torch.randn(4, outputs, generator=generator)
    kind = torch.distributions.Categorical if isinstance(head, SoftmaxHead) else torch.distributions.Bernoulli
    expected = torch.distributions.kl_divergence(kind(logits=clean), kind(logits=moved)).mean()
    torch.testing.assert_close(divergence(head.scores(clean), head.scores(moved)), expected)
    assert divergence(head.scores(clean), head.scores(clean)).abs() < 1e-7


def test_the_gradient_of_trades_flows_through_both_predictions():
    """Oracle: finite differences over the bias, at the points that were found."""
    model, images, targets = _setup(1)
    batch = _batch(model, images, targets, SIGMOID, "bce")
    plugin = TRADES(eps_grey_levels=EPS, steps=3)
    plugin(batch).backward()
    slope, step, values = model.bias.grad.item(), 1e-2, []
    for move in (step, -step):
        with torch.no_grad():
            model.bias += move
        values.append(plugin(_batch(model, images, targets, SIGMOID, "bce")).item())
        with torch.no_grad():
            model.bias -= move
    assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=2e-2)


@pytest.mark.parametrize("space", [(6, 6), (4, 6, 5)])
def test_multi_label_and_volumes_are_climbed_too(space):
    """No closed form: the loss of every image rises, inside the ball."""
    torch.manual_seed(0)
    convolution = nn.Conv2d if len(space) == 2 else nn.Conv3d
    model = nn.Sequential(convolution(1, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.LazyLinear(3))
    images = torch.rand(5, 1, *space)
    findings = (torch.rand(5, 3) > 0.5).float()
    model(images)

    def per_image(points: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(model(points), findings, reduction="none").sum(dim=1)

    bounds = bounds_of(8.0, images)
    points = climb(images, images, lambda x: per_image(x).sum(), bounds, 5, 0.25)
    assert bool((per_image(points) > per_image(images)).all())
    assert float((points - images).abs().max()) <= 8 / 255 + 1e-6
    assert float(points.min()) >= 0.0
    assert float(points.max()) <= 1.0


def test_evaluation_mode_ends_when_something_fails():
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(1).eval())
    state = torch.get_rng_state()
    modes: list[bool] = []

    def fail() -> None:
        modes.extend(module.training for module in model.modules())
        torch.rand(3)
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"), crafting(model):
        fail()
    assert modes == [False, False, False]
    assert [module.training for module in model.modules()] == [True, True, False]
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("plugin", [PGDTraining(), Fast(), TRADES()])
def test_a_model_without_a_gradient_is_refused_in_one_line(plugin):
    model, images, targets = _setup(1)
    blind = Changed(model, lambda inner, x: inner(x.detach()))
    with pytest.raises(
        AttackError, match=r"^training\.adversarial: .*no gradient.*expected a differentiable"
    ) as refused:
        plugin(_batch(blind, images, targets, SIGMOID, "bce"))
    assert "\n" not in str(refused.value)
