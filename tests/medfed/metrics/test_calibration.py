"""Calibration error. Oracles: torchmetrics, by hand, bounds."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from medfed.metrics.calibration import NUM_BINS, bin_gaps, expected_calibration_error


def _ece(probabilities: torch.Tensor, targets: torch.Tensor) -> float:
    n = len(targets)
    predictions = np.full(n, float(targets[0].numel()))
    return float(expected_calibration_error(bin_gaps(probabilities, targets).numpy(), predictions, np.ones(n)))


@given(seed=st.integers(0, 9999), num_classes=st.integers(2, 5))
def test_images_against_torchmetrics(seed, num_classes):
    generator = torch.Generator().manual_seed(seed)
    p = torch.softmax(3 * torch.randn(60, num_classes, generator=generator, dtype=torch.float64), dim=1)
    y = torch.randint(num_classes, (60,), generator=generator)
    theirs = multiclass_calibration_error(p, y, num_classes, n_bins=NUM_BINS, norm="l1")
    assert _ece(p, y) == pytest.approx(float(theirs), abs=1e-6)


def test_pixels_against_torchmetrics():
    generator = torch.Generator().manual_seed(0)
    p = torch.softmax(2 * torch.randn(5, 3, 7, 6, generator=generator, dtype=torch.float64), dim=1)
    y = torch.randint(3, (5, 7, 6), generator=generator)
    theirs = multiclass_calibration_error(p, y, 3, n_bins=NUM_BINS, norm="l1")
    assert _ece(p, y) == pytest.approx(float(theirs), abs=1e-6)


def test_by_hand():
    """Confidences .9 (right), .9 (wrong) in one bin, .6 (right) in another: (|.1 - .9| + .4) / 3."""
    p = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    assert _ece(p, torch.tensor([0, 1, 1])) == pytest.approx(1.2 / 3)


def test_bins_are_open_below_and_closed_above():
    """Guo et al.: bin m of 15 is ((m - 1)/15, m/15]; 0.6 = 9/15 is in the ninth, 1 in the last."""
    gaps = bin_gaps(torch.tensor([[0.4, 0.6], [0.0, 1.0]], dtype=torch.float64), torch.tensor([0, 0]))
    assert gaps.nonzero().tolist() == [[0, 8], [1, 14]]


@given(seed=st.integers(0, 999))
def test_lies_between_0_and_1_and_a_weight_is_a_repetition(seed):
    generator = torch.Generator().manual_seed(seed)
    p = torch.softmax(torch.randn(20, 3, generator=generator), dim=1)
    y = torch.randint(3, (20,), generator=generator)
    counts = torch.randint(1, 4, (20,), generator=generator)
    gaps = bin_gaps(p, y).numpy()
    weighted = float(expected_calibration_error(gaps, np.ones(20), counts.numpy()))
    assert 0.0 <= weighted <= 1.0
    assert weighted == pytest.approx(_ece(p.repeat_interleave(counts, 0), y.repeat_interleave(counts)))


def test_no_weight_no_value():
    assert np.isnan(expected_calibration_error(np.zeros((2, NUM_BINS)), np.ones(2), np.zeros(2)))
