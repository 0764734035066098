"""Filters before the model.

Oracles: scipy.ndimage, rounding by hand, and for what they are worth: an attack through the filter on a trained model
against one that does not know of it.
"""

import numpy as np
import pytest
import torch
from scipy import ndimage

from medfed.config import load_scenario, parse_scenario
from medfed.errors import ScenarioError
from robustness.attacks.apgd import APGD
from robustness.attacks.enforcer import check_points, run_attack
from robustness.attacks.heads import SigmoidHead
from robustness.attacks.pgd import PGD
from robustness.attacks.threat import ThreatModel
from robustness.defences.bit_depth import BitDepth
from robustness.defences.filtered import Filtered, FilteredModule
from robustness.defences.gaussian_filter import GaussianFilter
from robustness.defences.median_filter import MedianFilter
from tests.robustness.attacks.setups import Changed, pneumonia_films, pneumonia_model
from tests.simulations.conftest import TINY

SPACES = [(9, 7), (6, 5, 8)]


def _image(space):
    return torch.rand((1, 1, *space), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5])
def test_blur_is_that_of_scipy(sigma, space):
    image = _image(space)
    expected = ndimage.gaussian_filter(image[0, 0].numpy(), sigma, mode="nearest", truncate=4.0)
    np.testing.assert_allclose(GaussianFilter(sigma=sigma)(image)[0, 0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_median_is_that_of_scipy(size, space):
    image = _image(space)
    expected = ndimage.median_filter(image[0, 0].numpy(), size=size, mode="nearest")
    np.testing.assert_array_equal(MedianFilter(size=size)(image)[0, 0].numpy(), expected)


def test_an_even_window_is_refused():
    with pytest.raises(ValueError, match="odd number of pixels, such as 3; got 4"):
        MedianFilter(size=4)


def test_bit_depth_by_hand():
    image = torch.tensor([0.0, 0.16, 0.17, 0.49, 0.51, 0.84, 1.0]).reshape(1, 1, 1, 7)
    found = BitDepth(bits=2)(image).flatten()
    torch.testing.assert_close(found, torch.tensor([0, 0, 1, 1, 2, 3, 3]) / 3)


def test_the_gradient_of_bit_depth_is_that_of_the_identity():
    points = torch.rand(1, 1, 4, 4, requires_grad=True)
    BitDepth(bits=1)(points).sum().backward()
    assert torch.equal(points.grad, torch.ones_like(points))


THREAT = ThreatModel.grey_levels(6)


def _fooled(model, attack) -> float:
    images, labels = pneumonia_films()
    result = run_attack(model, images, labels, attack=attack, threat=THREAT, head=SigmoidHead())
    return 1.0 - result.robust_share


def _fooled_by_one_who_does_not_know(input_filter) -> float:
    """Points against the bare model, shown to the filtered one."""
    images, labels = pneumonia_films()
    bare = run_attack(pneumonia_model(), images, labels, attack=PGD(steps=20), threat=THREAT, head=SigmoidHead())
    filtered = FilteredModule(pneumonia_model(), input_filter)
    judged = check_points(filtered, images, bare.adversarial, labels, threat=THREAT, head=SigmoidHead())
    return 1.0 - judged.robust_share


@pytest.mark.parametrize("input_filter", [GaussianFilter(sigma=1.0), MedianFilter(size=3), BitDepth(bits=3)])
def test_who_attacks_through_the_filter_fools_what_seemed_safe(input_filter):
    naive = _fooled_by_one_who_does_not_know(input_filter)
    adaptive = _fooled(FilteredModule(pneumonia_model(), input_filter), APGD(steps=40, loss="margin"))
    assert adaptive >= naive + 0.15


def test_a_rounding_without_straight_through_only_hides_the_gradient():
    """The same rounding with the slope of torch.round, zero, looks safe under the same attack; it is not safer."""
    levels = 2**3 - 1
    hidden = Changed(pneumonia_model(), lambda model, x: model((x * levels).round() / levels))
    attack = PGD(steps=20)
    looks = _fooled(hidden, attack)
    assert _fooled(FilteredModule(pneumonia_model(), BitDepth(bits=3)), attack) >= looks + 0.3


def test_a_scenario_can_train_a_model_behind_a_filter(tmp_path):
    model = {"name": "robustness.defences.filtered:Filtered", "model": {"name": "small_cnn", "width": 4}}
    scenario = parse_scenario(TINY).replace(model=model | {"filter": {"name": "median", "size": 3}})
    (tmp_path / "tiny.toml").write_text(scenario.to_toml())
    assert load_scenario(tmp_path / "tiny.toml").model == scenario.model
    assert isinstance(scenario.model, Filtered)
    module = scenario.model(scenario.model_task).eval()
    images, _ = pneumonia_films()
    with torch.no_grad():
        assert torch.equal(module(images), module.model(MedianFilter(size=3)(images)))


def test_an_inner_model_that_does_not_suit_the_task_is_refused():
    model = {"name": "robustness.defences.filtered:Filtered", "model": {"name": "unet"}, "filter": "median"}
    with pytest.raises(ScenarioError, match="is not for classification"):
        parse_scenario(TINY).replace(model=model)
