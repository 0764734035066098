"""Randomised smoothing.

Oracles: a linear classifier, under Gaussian noise right with probability Phi(margin / (sigma |w|_2)) and exactly as
robust as its margin over |w|_2; the binomial distribution of scipy for the bound and for how often it fails.
"""

from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import binom, binomtest
from torch import nn

from robustness.attacks.head_checks import HeadError
from robustness.attacks.heads import DenseSigmoidHead, DenseSoftmaxHead, MultiLabelHead, SigmoidHead, SoftmaxHead
from robustness.defences.randomized_smoothing import SmoothedClassifier, lower_bound
from tests.robustness.attacks.setups import Changed, Linear, inner_images

SIGMA = 40.0
"""Grey levels."""


def _linear(outputs: int, radius: float) -> tuple[Linear, torch.Tensor, float]:
    """A linear model and an image at ``radius`` grey levels from its boundary, on the side of class 1."""
    model, image = Linear(outputs), inner_images(1)[0]
    direction = model.weight[0] if outputs == 1 else model.weight[1] - model.weight[0]
    length = direction.detach().norm().item()
    with torch.no_grad():
        logits = model(image[None])[0]
        margin = float(logits[0] if outputs == 1 else logits[1] - logits[0])
        model.bias[outputs - 1] += radius / 255 * length - margin
    return model, image, radius


def _smoothed(model: nn.Module, outputs: int, **fields) -> SmoothedClassifier:
    head = SigmoidHead() if outputs == 1 else SoftmaxHead(num_classes=outputs)
    return SmoothedClassifier(model, head, **{"sigma": SIGMA, **fields})


def _draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(num=some.integers(1, 2000), data=some.data(), alpha=some.floats(1e-4, 0.3))
def test_the_bound_is_the_share_at_which_so_many_have_probability_alpha(num, data, alpha):
    successes = data.draw(some.integers(0, num))
    bound = lower_bound(successes, num, alpha)
    assert 0.0 <= bound <= successes / num
    if successes:
        assert binom.sf(successes - 1, num, bound) == pytest.approx(alpha, rel=1e-6)


def test_the_bound_by_hand():
    assert lower_bound(0, 10, 0.05) == 0.0
    assert lower_bound(10, 10, 0.05) == pytest.approx(0.05**0.1)  # p^10 = alpha


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_radius_of_a_linear_model_comes_near_the_exact_one_and_not_beyond(outputs):
    model, image, exact = _linear(outputs, 30.0)
    found = _smoothed(model, outputs).certify(image, 50, 20000, 0.001, _draws(1))
    assert found.prediction == 1
    assert found.radius == pytest.approx(SIGMA * NormalDist().inv_cdf(found.lower_bound))
    assert 0.9 * exact < found.radius < exact


def test_counts_are_binomial_with_the_exact_probability():
    model, image, exact = _linear(1, 30.0)
    counts = _smoothed(model, 1).counts(image, 4000, _draws(3))
    assert counts.sum() == 4000
    assert binomtest(int(counts[1]), 4000, NormalDist().cdf(exact / SIGMA)).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_a_radius_is_too_large_as_often_as_the_binomial_says_and_no_more_than_alpha(alpha):
    model, image, exact = _linear(1, 30.0)
    smoothed, num, runs = _smoothed(model, 1), 60, 500
    truth = NormalDist().cdf(exact / SIGMA)
    k = np.arange(num + 1)
    wrong = np.array([lower_bound(int(count), num, alpha) > truth for count in k])
    chance = float(binom.pmf(k, num, truth)[wrong].sum())
    assert 0.2 * alpha < chance <= alpha
    failed = sum(smoothed.certify(image, 20, num, alpha, _draws(seed)).radius > exact for seed in range(runs))
    assert binomtest(failed, runs, chance).pvalue > 1e-3


def test_no_change_within_the_radius_alters_the_class_of_the_smoothed_model():
    """For a linear model the smoothed class is its own, and the worst direction is known."""
    model, image, _ = _linear(2, 30.0)
    radius = _smoothed(model, 2).certify(image, 50, 2000, 0.001, _draws(1)).radius
    direction = (model.weight[0] - model.weight[1]).detach().reshape(image.shape)
    worst = image + radius / 255 * direction / direction.norm()
    assert int(model(worst[None]).argmax()) == 1
    assert radius > 20


def test_it_abstains_on_the_boundary():
    model, image, _ = _linear(1, 0.0)
    found = _smoothed(model, 1).certify(image, 50, 500, 0.001, _draws(1))
    assert found.prediction is None
    assert found.radius == 0.0
    assert found.lower_bound <= 0.5
    assert _smoothed(model, 1).predict(image, 500, 0.001, _draws(1)) is None


def test_it_predicts_the_likeliest_class():
    for radius, expected in ((30.0, 1), (-30.0, 0)):
        model, image, _ = _linear(2, radius)
        assert _smoothed(model, 2).predict(image, 200, 0.001, _draws(1)) == expected


def test_the_error_of_predict_is_at_most_alpha():
    """Near the boundary it may answer wrongly, in at most a share alpha of the runs."""
    model, image, _ = _linear(1, 2.0)
    answers = [_smoothed(model, 1).predict(image, 60, 0.1, _draws(seed)) for seed in range(400)]
    assert binomtest(answers.count(0), 400, 0.1, alternative="greater").pvalue > 1e-3
    assert answers.count(1) > 10
    assert answers.count(None) > 200


def test_units_per_channel_stretch_the_noise():
    """A channel in which 1.0 is twice as many units gets half the noise: only the units differ, not the radius."""
    weight = torch.tensor([[1.0, 2.0]])
    model, image = Linear(1, (2, 1, 1)), torch.full((2, 1, 1), 0.5)
    with torch.no_grad():
        model.weight.copy_(weight * torch.tensor([100.0, 400.0]))
        model.bias.fill_(-float(model.weight.sum()) / 2 + 30.0)
    exact = 30.0 / float(weight.norm())  # the gradient per unit of eps is (1, 2)
    smoothed = _smoothed(model, 1, sigma=15.0, per_unit=(100.0, 400.0))
    found = smoothed.certify(image, 50, 20000, 0.001, _draws(1))
    assert 0.9 * exact < found.radius < exact


def test_equal_seeds_give_equal_counts_whatever_the_batch():
    model, image, _ = _linear(2, 10.0)
    counts = [_smoothed(model, 2, batch_size=size).counts(image, 300, _draws(5)) for size in (256, 7, 300)]
    assert torch.equal(counts[0], counts[1])
    assert torch.equal(counts[0], counts[2])
    assert not torch.equal(counts[0], _smoothed(model, 2).counts(image, 300, _draws(6)))


def test_flags_weights_and_global_draws_stay():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.BatchNorm1d(16), nn.Linear(16, 3)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    noisy = Changed(model, lambda inner, x: inner(x) + 0 * torch.rand(1))
    state = torch.get_rng_state()
    _smoothed(noisy, 3).certify(inner_images(1)[0], 10, 10, 0.1, _draws(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "head",
    [MultiLabelHead(num_findings=3), DenseSoftmaxHead(num_classes=2), DenseSigmoidHead()],
    ids=lambda head: type(head).__name__,
)
def test_a_head_with_several_decisions_is_refused_in_one_line(head):
    with pytest.raises(HeadError, match="expected one decision per image") as refused:
        SmoothedClassifier(Linear(3), head, 10.0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
def test_a_sigma_that_is_no_width_is_refused(sigma):
    with pytest.raises(ValueError, match="sigma expected a number above 0"):
        SmoothedClassifier(Linear(1), SigmoidHead(), sigma)


def test_a_model_whose_output_is_not_finite_gets_no_certificate():
    broken = Changed(Linear(2), lambda inner, x: inner(x) / 0 * 0)
    with pytest.raises(HeadError, match="finite") as refused:
        _smoothed(broken, 2).certify(inner_images(1)[0], 10, 100, 0.001, _draws(1))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 1.0, float("nan")])
def test_an_alpha_that_is_no_probability_is_refused(alpha):
    image, smoothed = inner_images(1)[0], _smoothed(Linear(2), 2)
    with pytest.raises(ValueError, match="alpha expected above 0 and below 1"):
        smoothed.certify(image, 10, 10, alpha, _draws(1))
    with pytest.raises(ValueError, match="alpha expected above 0 and below 1"):
        smoothed.predict(image, 10, alpha, _draws(1))


def test_no_noisy_image_is_no_evidence():
    image, smoothed = inner_images(1)[0], _smoothed(Linear(2), 2)
    for num_select, num in ((0, 10), (10, 0)):
        with pytest.raises(ValueError, match="noisy images expected 1 or more"):
            smoothed.certify(image, num_select, num, 0.001, _draws(1))
    with pytest.raises(ValueError, match="noisy images expected 1 or more"):
        smoothed.predict(image, 0, 0.001, _draws(1))
