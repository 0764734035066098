"""Transforms. Oracles: by hand, inverse, scipy's affine transform, moments of the draws."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from medfed.data.transforms.affine import Affine, affine_matrices
from medfed.data.transforms.cutout import Cutout
from medfed.data.transforms.flip import Flip
from medfed.data.transforms.intensity import Intensity
from medfed.data.transforms.noise import Noise
from medfed.data.transforms.rotate90 import Rotate90


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(size: int = 4, side: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(size, 2, side, side, generator=_seeded(9))
    return images, torch.randint(3, (size, side, side), generator=_seeded(8))


def test_certain_flips_by_hand():
    images, masks = _images()
    for value, axes in ((Flip(horizontal=1.0, vertical=0.0), (-1,)), (Flip(horizontal=1.0, vertical=1.0), (-1, -2))):
        moved, moved_masks = value(images, masks, _seeded())
        assert torch.equal(moved, images.flip(axes))
        assert torch.equal(moved_masks, masks.flip(axes))


@pytest.mark.parametrize(
    "transform", [Flip(horizontal=0.0, vertical=0.0), Rotate90(probability=0.0), Affine(probability=0.0)]
)
def test_never_means_never(transform):
    images, masks = _images()
    moved, moved_masks = transform(images, masks, _seeded())
    assert torch.equal(moved, images)
    assert torch.equal(moved_masks, masks)


def test_flips_happen_as_often_as_asked():
    """Binomial: 2000 images, each flipped with probability 0.3."""
    images = torch.zeros(2000, 1, 1, 2)
    images[..., 1] = 1.0
    moved, _ = Flip(horizontal=0.3, vertical=0.0)(images, torch.zeros(2000, dtype=torch.int64), _seeded())
    assert stats.binomtest(int(moved[:, 0, 0, 0].sum()), 2000, 0.3).pvalue > 1e-3


def test_quarter_turns_are_equally_likely_and_exact():
    """Each image is one of the four turns of the original (torch.rot90), a quarter of them each (chi-squared)."""
    image, _ = _images(1)
    moved, _ = Rotate90(probability=0.75)(
        image.expand(1200, -1, -1, -1), torch.zeros(1200, dtype=torch.int64), _seeded()
    )
    counts = [int((moved == image.rot90(turns, (-2, -1))).flatten(1).all(dim=1).sum()) for turns in range(4)]
    assert sum(counts) == 1200
    assert stats.chisquare(counts).pvalue > 1e-3


def test_quarter_turns_need_squares():
    with pytest.raises(ValueError, match="height 4, width 5"):
        Rotate90()(torch.zeros(1, 1, 4, 5), torch.zeros(1, dtype=torch.int64), _seeded())


def test_affine_identity():
    images, masks = _images()
    still = Affine(degrees=0.0, translate=0.0, scale=(1.0, 1.0))
    moved, moved_masks = still(images, masks, _seeded())
    torch.testing.assert_close(moved, images, atol=1e-5, rtol=0)
    assert torch.equal(moved_masks, masks)


def _matrix(angle: float, shift: tuple[float, float], scale: float, aspect: float = 1.0) -> np.ndarray:
    matrix = affine_matrices(
        torch.tensor([angle]), torch.tensor([shift], dtype=torch.float32), torch.tensor([scale]), aspect
    )
    return matrix[0].double().numpy()


def test_affine_matrix_by_hand():
    """Inverse: a picture point p goes to R(angle) scale p + shift, and the matrix takes it back."""
    angle, scale, shift = 0.4, 1.3, np.array([0.2, -0.1])
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    point = np.array([0.3, 0.5])
    there = scale * rotation @ point + shift
    assert _matrix(angle, tuple(shift), scale) @ [*there, 1.0] == pytest.approx(point, abs=1e-6)


def test_affine_rotation_keeps_circles_round_in_oblong_images():
    """In pixels the map is a rotation: orthogonal after undoing the coordinates' scale."""
    height, width = 20.0, 30.0
    to_unit = np.diag([2 / width, 2 / height])
    in_pixels = np.linalg.inv(to_unit) @ _matrix(0.7, (0.0, 0.0), 1.0, height / width)[:, :2] @ to_unit
    assert in_pixels @ in_pixels.T == pytest.approx(np.eye(2), abs=1e-6)


def test_affine_resampling_is_scipys():
    """Inside the image, scipy's affine_transform with the same matrix gives the same picture and mask."""
    image, mask = torch.rand(1, 1, 16, 16, generator=_seeded(3)), torch.randint(3, (1, 16, 16), generator=_seeded(4))
    affine = Affine(degrees=30.0, translate=0.1, scale=(0.8, 1.2))
    matrix = affine._matrices(image, _seeded(5))[0].double().numpy()[::-1, [1, 0, 2]]  # from (x, y) to (row, column)
    # The center of pixel i has coordinate (2 i + 1) / 16 - 1.
    offset = (matrix[:, :2] @ np.full(2, 1 / 16 - 1) + matrix[:, 2] + 1 - 1 / 16) * 8
    arguments = {"matrix": matrix[:, :2], "offset": offset, "mode": "nearest"}
    moved, moved_mask = affine(image, mask, _seeded(5))
    picture = ndimage.affine_transform(image[0, 0].double().numpy(), order=1, **arguments)
    assert moved[0, 0].numpy() == pytest.approx(picture, abs=1e-4)
    classes = ndimage.affine_transform(mask[0].numpy(), order=0, **arguments)
    assert (moved_mask[0].numpy() == classes).mean() > 0.98  # halves may round either way


def test_intensity_keeps_order_and_touches_no_mask():
    images, masks = _images()
    changed, same = Intensity(brightness=0.2, contrast=0.3, gamma=1.0)(images, masks, _seeded())
    assert torch.equal(same, masks)
    for before, after in zip(images.flatten(1), changed.flatten(1), strict=True):
        assert (after[before.argsort()].diff() >= 0).all()


def test_brightness_alone_by_hand():
    """All pixels of an image rise by the same amount, at most 0.2."""
    images = torch.full((50, 1, 3, 3), 0.5)
    changed, _ = Intensity(brightness=0.2, contrast=0.0, gamma=0.0)(
        images, torch.zeros(50, dtype=torch.int64), _seeded()
    )
    rise = (changed - images).flatten(1)
    torch.testing.assert_close(rise, rise[:, :1].expand_as(rise))
    assert rise.abs().max() <= 0.2 + 1e-6
    assert rise[:, 0].std() == pytest.approx(0.2 / math.sqrt(3), rel=0.3)  # uniform


def test_noise_has_the_spread_asked_for():
    """E(noise^2) = E(s^2) = std^2 / 3 with s uniform on [0, std]."""
    images = torch.full((500, 1, 8, 8), 0.5)
    noisy, _ = Noise(std=0.1)(images, torch.zeros(500, dtype=torch.int64), _seeded())
    assert (noisy - 0.5).square().mean().item() == pytest.approx(0.1**2 / 3, rel=0.15)
    assert (noisy - 0.5).mean().item() == pytest.approx(0.0, abs=1e-3)


def test_cutout_hides_one_square_of_the_size_asked_for():
    images, masks = torch.ones(60, 1, 20, 20), torch.ones(60, 20, 20, dtype=torch.int64)
    cut, same = Cutout(size=0.25, probability=1.0)(images, masks, _seeded())
    assert torch.equal(same, masks)
    hidden = cut[:, 0] == 0.5
    assert (hidden.sum(dim=1).max(dim=1).values <= 5).all()
    assert (hidden.sum(dim=2).max(dim=1).values <= 5).all()
    assert (hidden.flatten(1).sum(dim=1) == 25).any()  # whole inside the image
    for picture in hidden:
        rows, columns = picture.any(dim=1), picture.any(dim=0)
        assert torch.equal(picture, rows[:, None] & columns[None, :])
