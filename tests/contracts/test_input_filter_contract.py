"""What every filter of INPUT_FILTERS must keep; a new line there is picked up by itself.

Oracles: the Protocol, laws.
"""

import pytest
import torch

from robustness.defences import INPUT_FILTERS
from robustness.defences.filter_contract import InputFilter

every_filter = pytest.mark.parametrize("name", INPUT_FILTERS)
every_space = pytest.mark.parametrize("space", [(9, 7), (5, 6, 7)])


def _images(space: tuple[int, ...]) -> torch.Tensor:
    return torch.rand((3, 2, *space), generator=torch.Generator().manual_seed(3))


@every_filter
def test_keeps_the_protocol(name):
    assert isinstance(INPUT_FILTERS[name](), InputFilter)


@every_space
@every_filter
def test_shape_and_range_stay_and_the_argument_too(name, space):
    images = _images(space)
    images[0], images[1] = images[0].round(), 0.0
    before = images.clone()
    found = INPUT_FILTERS[name]()(images)
    assert found.shape == images.shape
    assert found.dtype == images.dtype
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 1.0
    assert torch.equal(images, before)
    assert not torch.equal(found, images)


@every_space
@every_filter
def test_images_and_channels_are_filtered_one_by_one(name, space):
    images = _images(space)
    found = INPUT_FILTERS[name]()(images)
    assert torch.equal(INPUT_FILTERS[name]()(images[1:2]), found[1:2])
    assert torch.equal(INPUT_FILTERS[name]()(images[:, 1:]), found[:, 1:])


@every_space
@every_filter
def test_a_constant_image_stays(name, space):
    for level in (0.0, 1.0):
        images = torch.full((1, 1, *space), level)
        torch.testing.assert_close(INPUT_FILTERS[name]()(images), images)


@every_space
@every_filter
def test_the_gradient_leads_through_it(name, space):
    """A step along the gradient of what the filter lets through raises it: an attack is not blind."""
    images = 0.25 + 0.5 * _images(space)
    aim = torch.randn(images.shape, generator=torch.Generator().manual_seed(4))
    points = images.clone().requires_grad_()
    (INPUT_FILTERS[name]()(points) * aim).sum().backward()
    gradient = points.grad
    assert gradient is not None
    assert bool(gradient.isfinite().all())
    moved = (images + 0.2 * gradient.sign()).clamp(0, 1)
    assert float((INPUT_FILTERS[name]()(moved) * aim).sum()) > float((INPUT_FILTERS[name]()(images) * aim).sum())


@every_filter
def test_no_random_number_is_drawn(name):
    state = torch.get_rng_state()
    INPUT_FILTERS[name]()(_images((9, 7)))
    assert torch.equal(torch.get_rng_state(), state)
