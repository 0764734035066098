"""Oracles: Pillow's own conversion, torch's antialiased interpolation, and values by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from medfed.data.convert import DecodeSettings, prepare_image, prepare_mask, resize_mask
from medfed.data.faults import ImageFault

RANDOM = np.random.default_rng(0)


def _settings(size=8, channels=1, intensity="bit_depth", masks="binary", num_classes=2):
    return DecodeSettings(size, channels, intensity, masks, num_classes)


@given(arrays.arrays(st.sampled_from([np.uint8, np.uint16]), (1, 8, 8)))
def test_an_image_of_the_right_shape_is_unchanged(image):
    prepared = prepare_image(image, _settings())
    assert prepared.dtype == image.dtype
    np.testing.assert_array_equal(prepared, image)


def test_grey_from_rgb_is_the_luma_of_pillow():
    image = RANDOM.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).convert("L")).astype(int)
    got = prepare_image(image.transpose(2, 0, 1), _settings(size=16))[0].astype(int)
    assert np.abs(got - expected).max() <= 1  # Pillow works in integers


def test_rgb_from_grey_repeats():
    image = RANDOM.integers(0, 256, (1, 8, 8), dtype=np.uint8)
    np.testing.assert_array_equal(prepare_image(image, _settings(channels=3)), np.repeat(image, 3, axis=0))


@pytest.mark.parametrize(("height", "width"), [(40, 24), (5, 6), (64, 64)])
def test_resizing_is_torchs_antialiased_bilinear(height, width):
    image = RANDOM.integers(0, 65536, (1, height, width), dtype=np.uint16)
    values = torch.from_numpy(image.astype(np.float64))[None]
    expected = torch.nn.functional.interpolate(values, (16, 16), mode="bilinear", antialias=True)[0]
    got = prepare_image(image, _settings(size=16))
    np.testing.assert_allclose(got, expected.numpy(), atol=2)  # of 65535


def test_percentiles_map_to_the_ends_of_the_range():
    image = RANDOM.normal(-500.0, 40.0, (1, 64, 64)).astype(np.float32)
    got = prepare_image(image, _settings(size=64, intensity="percentiles"))
    low, high = np.percentile(image, (0.5, 99.5))
    assert got.dtype == np.uint16
    np.testing.assert_allclose(got / 65535, np.clip((image - low) / (high - low), 0, 1), atol=1e-4)


def test_percentiles_of_a_constant_image_are_zero():
    image = np.full((1, 8, 8), 7, np.uint8)
    assert not prepare_image(image, _settings(intensity="percentiles")).any()


def test_floating_point_in_0_to_1_becomes_16_bit():
    image = RANDOM.random((1, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(prepare_image(image, _settings()) / 65535, image, atol=1e-5)


@pytest.mark.parametrize("image", [np.full((1, 4, 4), 1.5, np.float32), np.zeros((1, 4, 4), np.int32)])
def test_a_type_without_a_range_needs_percentiles(image):
    with pytest.raises(ImageFault, match="percentiles"):
        prepare_image(image, _settings())


def test_a_binary_mask_is_thresholded_before_it_is_resized():
    mask = np.array([[0, 300], [7, 0]])
    expected = np.kron([[0, 1], [1, 0]], np.ones((4, 4)))
    np.testing.assert_array_equal(prepare_mask(mask, _settings()), expected)


def test_nearest_takes_the_pixel_under_the_centre():
    mask = np.arange(30, dtype=np.uint8).reshape(5, 6)
    rows, columns = [0, 2, 4], [1, 3, 5]  # centres (i + 0.5) * 5 / 3 = 0.83, 2.5, 4.17 and (i + 0.5) * 2 = 1, 3, 5
    np.testing.assert_array_equal(resize_mask(mask, 3), mask[np.ix_(rows, columns)])


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))), st.integers(1, 30))
def test_resizing_a_mask_invents_no_value(mask, size):
    assert set(np.unique(resize_mask(mask, size))) <= set(np.unique(mask))


@pytest.mark.parametrize("value", [3, 300, -1])
def test_a_class_that_does_not_exist_is_refused(value):
    mask = np.full((8, 8), value)
    with pytest.raises(ImageFault, match="expected class indices 0 to 2"):
        prepare_mask(mask, _settings(masks="classes", num_classes=3))
