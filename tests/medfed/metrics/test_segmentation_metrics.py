"""Overlap measures. Oracles: MONAI, by hand, and IoU = Dice / (2 - Dice)."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.metrics import compute_dice, compute_iou
from torch.nn.functional import one_hot

from medfed.metrics.segmentation import dice, foreground_mean, iou


def _maps(seed: int, num_classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    predicted, truth = torch.randint(num_classes, (2, 6, 8, 7), generator=generator)
    return predicted, truth


@given(seed=st.integers(0, 9999))
def test_against_monai(seed):
    predicted, truth = _maps(seed)
    hot = [one_hot(maps, 3).movedim(-1, 1) for maps in (predicted, truth)]
    torch.testing.assert_close(dice(predicted, truth, 3).float(), compute_dice(*hot))
    torch.testing.assert_close(iou(predicted, truth, 3).float(), compute_iou(*hot))


@given(seed=st.integers(0, 9999))
def test_one_follows_from_the_other(seed):
    predicted, truth = _maps(seed, num_classes=2)
    d = dice(predicted, truth, 4)  # two classes that never occur
    torch.testing.assert_close(iou(predicted, truth, 4), d / (2 - d))
    assert ((d >= 0) & (d <= 1)).all()
    torch.testing.assert_close(dice(truth, predicted, 4), d)


def test_the_rule_for_empty_masks():
    """Stated rule: both empty 1, one empty 0."""
    empty, some = torch.zeros(1, 4, 4, dtype=torch.int64), torch.zeros(1, 4, 4, dtype=torch.int64)
    some[0, 1, 1] = 1
    for measure in (dice, iou):
        assert measure(empty, empty, 2)[0, 1] == 1.0
        assert measure(some, empty, 2)[0, 1] == 0.0
        assert measure(empty, some, 2)[0, 1] == 0.0


def test_by_hand():
    """Two predicted pixels, three true ones, one shared: Dice 2/5, IoU 1/4."""
    predicted, truth = torch.tensor([[[1, 1, 0, 0, 0]]]), torch.tensor([[[0, 1, 1, 1, 0]]])
    assert dice(predicted, truth, 2)[0, 1] == pytest.approx(0.4)
    assert iou(predicted, truth, 2)[0, 1] == pytest.approx(0.25)


def test_the_mean_leaves_the_background_out():
    assert foreground_mean(torch.tensor([[9.0, 0.2, 0.6]])).item() == pytest.approx(0.4)
