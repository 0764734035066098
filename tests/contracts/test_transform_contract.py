"""What every transform must keep; a new line in TRANSFORMS is picked up by itself. Oracle: the Transform protocol."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medfed.data.transforms import TRANSFORMS
from medfed.data.transforms.contract import Transform

every_transform = pytest.mark.parametrize("name", TRANSFORMS)


def _batch(size: int = 6, channels: int = 3, side: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = torch.rand(size, channels, side, side, generator=generator)
    return images, torch.randint(3, (size, side, side), generator=generator)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@every_transform
def test_keeps_the_protocol(name):
    assert isinstance(TRANSFORMS[name](), Transform)


@every_transform
@given(seed=st.integers(0, 2**32), size=st.integers(1, 5), channels=st.sampled_from([1, 3]), side=st.integers(8, 17))
def test_keeps_shapes_types_and_ranges(name, seed, size, channels, side):
    images, masks = _batch(size, channels, side)
    moved, moved_masks = TRANSFORMS[name]()(images, masks, _seeded(seed))
    assert (moved.shape, moved.dtype) == (images.shape, images.dtype)
    assert (moved_masks.shape, moved_masks.dtype) == (masks.shape, masks.dtype)
    assert moved.min() >= 0.0
    assert moved.max() <= 1.0
    assert set(moved_masks.unique().tolist()) <= set(masks.unique().tolist())


@every_transform
def test_the_generator_decides_everything(name):
    images, masks = _batch()
    transform = TRANSFORMS[name]()
    torch.manual_seed(0)
    one = transform(images, masks, _seeded(1))
    torch.manual_seed(1)
    same, other = transform(images, masks, _seeded(1)), transform(images, masks, _seeded(2))
    assert torch.equal(one[0], same[0])
    assert torch.equal(one[1], same[1])
    assert not torch.equal(one[0], other[0])


@every_transform
def test_does_something_and_writes_to_nothing(name):
    images, masks = _batch()
    kept = images.clone(), masks.clone()
    moved, _ = TRANSFORMS[name]()(images, masks, _seeded(1))
    assert not torch.equal(moved, images)
    assert torch.equal(images, kept[0])
    assert torch.equal(masks, kept[1])


@every_transform
def test_images_of_a_batch_differ_in_what_happens_to_them(name):
    image, _ = _batch(size=1)
    moved, _ = TRANSFORMS[name]()(image.expand(16, -1, -1, -1), torch.zeros(16, dtype=torch.int64), _seeded(3))
    assert not torch.equal(moved, moved[:1].expand_as(moved))


@every_transform
def test_labels_pass_and_leave_the_images_draws_alone(name):
    images, masks = _batch()
    labels = torch.arange(6)
    moved, same_labels = TRANSFORMS[name]()(images, labels, _seeded(4))
    assert torch.equal(same_labels, labels)
    assert torch.equal(moved, TRANSFORMS[name]()(images, masks, _seeded(4))[0])


@every_transform
def test_image_and_mask_move_together(name):
    """Where a picture of its own mask is geometrically transformed, mask and picture agree away from the edges."""
    masks = torch.zeros(8, 24, 24, dtype=torch.int64)
    masks[:, 3:12, 5:20] = 1
    images = masks.unsqueeze(1).float()
    moved, moved_masks = TRANSFORMS[name]()(images, masks, _seeded(6))
    if torch.equal(moved_masks, masks):
        return  # not geometric: nothing moved
    agree = ((moved[:, 0] > 0.5) == (moved_masks == 1)).float().mean()
    assert agree > 0.97
