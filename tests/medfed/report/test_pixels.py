"""Images and outlines. Oracles: a square by hand, the enclosed area, an inverse (PNG decoded again)."""

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medfed.report.pixels import MAX_SIDE, outlines, png_address, to_grey_or_rgb


def rings(path: str) -> list[np.ndarray]:
    return [np.array([p.split() for p in ring.split("L")], float) for ring in re.findall(r"M([^Z]+)Z", path)]


def test_outline_of_a_square_touches_its_edges():
    square = np.zeros((10, 12), np.uint8)
    square[2:5, 3:9] = 1  # x from 3 to 9, y from 2 to 5
    (ring,) = rings(outlines(square))
    assert ring.min(0).tolist() == [3, 2]
    assert ring.max(0).tolist() == [9, 5]


def test_objects_at_the_border_close_and_empty_maps_have_no_outline():
    assert outlines(np.zeros((5, 5), np.uint8)) == ""
    (ring,) = rings(outlines(np.ones((6, 6), np.uint8)))
    assert ring.min() == 0
    assert ring.max() == 6


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3))
def test_each_class_is_outlined_with_its_area(height: int, width: int, label: int):
    class_map = np.zeros((9, 9), np.uint8)
    class_map[1 : 1 + height, 2 : 2 + width] = label
    (ring,) = rings(outlines(class_map))
    x, y = ring.T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert area == pytest.approx(height * width - 0.5)  # the four corners are cut, one eighth of a pixel each


def test_images_come_back_from_their_address():
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    address = png_address(pixels)
    decoded = Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))
    assert np.array_equal(np.asarray(decoded), pixels)


def test_large_images_are_made_smaller():
    address = png_address(np.zeros((1000, 500), np.uint8))
    decoded = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
    assert decoded.size == (MAX_SIDE // 2, MAX_SIDE)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("channels", "shape"), [(1, (6, 7)), (2, (6, 7)), (3, (6, 7, 3)), (4, (6, 7, 3))])
def test_any_number_of_channels_and_depth(dtype: type, channels: int, shape: tuple[int, ...]):
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (channels, 6, 7)).astype(dtype)
    shown = to_grey_or_rgb(image)
    assert shown.shape == shape
    assert shown.min() == 0
    assert shown.max() == 255


def test_constant_images_keep_their_brightness():
    assert (to_grey_or_rgb(np.full((1, 4, 4), 51, np.uint8)) == 51).all()
