"""What the enforcer promises. Oracles: byte equality, the bound computed anew, the law that batches do not matter."""

import numpy as np
import pytest
import torch
from torch import nn

from robustness.attacks import PGD
from robustness.attacks.contract import SideEffectError
from robustness.attacks.enforcer import check_points, run_attack
from robustness.attacks.heads import SigmoidHead, SoftmaxHead
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.films import every_attack, run_on_films
from tests.robustness.attacks.setups import Changed, Linear, inner_images, pneumonia_films, pneumonia_model, predicted


@every_attack
def test_points_keep_bound_and_range_and_fool_the_model(name):
    images, labels = pneumonia_films(16)
    result, threat = run_on_films(name)
    points = result.adversarial
    assert float(points.min()) >= 0
    assert float(points.max()) <= 1
    change = points - images
    measures = {
        "linf": change.abs().amax(),
        "l2": change.flatten(1).norm(dim=1).amax(),
        "l0": (change != 0).any(dim=1).flatten(1).sum(dim=1).amax(),
        "patch": (change != 0).flatten(1).float().mean(dim=1).amax(),
    }
    if threat.norm in measures:
        assert float(measures[threat.norm]) <= threat.eps * 1.0001
    with torch.no_grad():
        wrong = (pneumonia_model()(points)[:, 0] > 0).long() != labels
    assert torch.equal(wrong & result.success, result.success)
    assert bool((result.damage >= result.clean_damage - 1e-4)[~result.clean_success].all())


@every_attack
def test_leaves_everything_as_it_was(name):
    model = pneumonia_model()
    model.train()
    model[0].eval()  # a mixture of flags must come back as a mixture
    flags = [module.training for module in model.modules()]
    next(model.parameters()).grad = torch.ones_like(next(model.parameters()))
    weights = [(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers())]
    images, labels = (part.clone() for part in pneumonia_films(16))
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    try:
        run_on_films(name)
        assert [module.training for module in model.modules()] == flags
        assert all(parameter.requires_grad for parameter in model.parameters())
        assert all(torch.equal(tensor, before) for tensor, before in weights)
        assert torch.equal(next(model.parameters()).grad, torch.ones_like(next(model.parameters())))
        assert all(parameter.grad is None for parameter in list(model.parameters())[1:])
        assert torch.equal(torch.get_rng_state(), states[0])
        assert np.array_equal(np.random.get_state()[1], states[1])
        assert torch.equal(images, pneumonia_films(16)[0])
        assert torch.equal(labels, pneumonia_films(16)[1])
    finally:
        model.eval()
        model.zero_grad()


@every_attack
def test_equal_seeds_give_equal_bytes(name):
    one, other = run_on_films(name, seed=3)[0], run_on_films(name, seed=3)[0]
    assert torch.equal(one.adversarial, other.adversarial)
    assert torch.equal(one.success, other.success)


def test_bfloat16_successes_hold_in_float32():
    images, labels = pneumonia_films(48)
    result = run_attack(
        pneumonia_model(),
        images,
        labels,
        attack=PGD(),
        threat=ThreatModel.grey_levels(3),
        head=SigmoidHead(),
        settings=RunSettings(precision="bfloat16"),
    )
    with torch.no_grad():
        wrong = (pneumonia_model()(result.adversarial)[:, 0] > 0).long() != labels
    assert torch.equal(wrong, result.success)
    assert result.flags["unconfirmed"] == 0


def test_results_do_not_depend_on_the_batch_of_the_model():
    images, labels = pneumonia_films(48)
    runs = [
        run_attack(
            pneumonia_model(),
            images,
            labels,
            attack=PGD(),
            threat=ThreatModel.grey_levels(3),
            head=SigmoidHead(),
            settings=RunSettings(batch_size=size),
        )
        for size in (7, 64)
    ]
    assert torch.equal(runs[0].success, runs[1].success)


def test_little_memory_means_small_batches():
    largest = []
    model = Changed(pneumonia_model(), lambda inner, x: (largest.append(len(x)), inner(x))[1])
    images, labels = pneumonia_films(16)
    settings = RunSettings(max_bytes=400_000)
    run_attack(model, images, labels, attack=PGD(), threat=ThreatModel(eps=0.01), head=SigmoidHead(), settings=settings)
    assert max(largest) < 16


def test_fooled_images_leave():
    """PGD takes one gradient of an image that falls at once, and all steps only where it does not."""
    model, images = Linear(2), inner_images(8)
    labels = predicted(model, images)
    easy = run_attack(
        model,
        images,
        labels,
        attack=PGD(steps=50, step=1.0),
        threat=ThreatModel(eps=0.9),
        head=SoftmaxHead(num_classes=2),
    )
    assert bool(easy.success.all())
    assert easy.gradient_images <= 3 * 8


def test_restarts_only_add_successes():
    images, labels = pneumonia_films(48)
    shares = [
        run_attack(
            pneumonia_model(),
            images,
            labels,
            attack=PGD(steps=3),
            threat=ThreatModel.grey_levels(2),
            head=SigmoidHead(),
            settings=RunSettings(restarts=restarts),
        ).success
        for restarts in (1, 4)
    ]
    assert bool((shares[1] | ~shares[0]).all())


def test_a_model_that_writes_to_itself_is_refused():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Linear(2)
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, images):
            self.calls += 1
            return self.inner(images)

    with pytest.raises(SideEffectError, match='"calls"'):
        run_attack(
            Counting(),
            inner_images(4),
            torch.zeros(4),
            attack=PGD(),
            threat=ThreatModel(eps=0.1),
            head=SoftmaxHead(num_classes=2),
        )


def test_a_model_that_draws_random_numbers_is_flagged_and_the_state_put_back():
    noisy = Changed(Linear(2), lambda inner, x: inner(x + 0.01 * torch.randn_like(x)))
    before = torch.get_rng_state()
    result = run_attack(
        noisy,
        inner_images(4),
        torch.zeros(4),
        attack=PGD(),
        threat=ThreatModel(eps=0.1),
        head=SoftmaxHead(num_classes=2),
    )
    assert result.flags["random_forward"] == 1
    assert torch.equal(before, torch.get_rng_state())


def test_points_of_others_count_only_inside_the_bound():
    model, images = Linear(2), inner_images(6)
    labels = predicted(model, images)
    step = 0.3 * torch.sign(model.weight[1] - model.weight[0]).reshape(1, 4, 4).detach()
    points = (images + torch.where(labels == 0, 1, -1)[:, None, None, None] * step).clamp(0, 1)
    common = {"threat": ThreatModel(eps=0.3), "head": SoftmaxHead(num_classes=2)}
    good = check_points(model, images, points, labels, **common)
    bad = check_points(model, images, points, labels, threat=ThreatModel(eps=0.1), head=SoftmaxHead(num_classes=2))
    assert bool(good.success.all())
    assert good.flags["out_of_bounds"] == 0
    assert not bool(bad.success.any())
    assert bad.flags["out_of_bounds"] == 1


def test_progress_rises_to_one():
    told = []
    images, labels = pneumonia_films(16)
    run_attack(
        pneumonia_model(),
        images,
        labels,
        attack=PGD(),
        threat=ThreatModel(eps=0.001),
        head=SigmoidHead(),
        progress=lambda name, share: told.append((name, share)),
    )
    shares = [share for _, share in told]
    assert {name for name, _ in told} == {"pgd"}
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
