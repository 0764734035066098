"""Losses. Oracles: torch's functional losses, MONAI's DiceLoss, scikit-learn's class weights, by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.losses import DiceLoss
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from medfed.errors import ScenarioError
from medfed.training.heads import class_logits, probabilities
from medfed.training.losses.bce import BinaryCrossEntropy
from medfed.training.losses.cross_entropy import CrossEntropy, balanced_weights
from medfed.training.losses.dice import Dice
from medfed.training.losses.dice_ce import DiceCrossEntropy

seeds = st.integers(0, 9999)


def _maps(seed: int, outputs: int, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(3, outputs, 6, 5, generator=generator)
    return logits, torch.randint(num_classes, (3, 6, 5), generator=generator)


@given(seed=seeds)
def test_a_sigmoid_logit_is_two_softmax_logits(seed):
    """Oracle: torch.sigmoid; -log softmax against torch's binary cross-entropy."""
    logits, targets = _maps(seed, 1, 2)
    torch.testing.assert_close(probabilities(logits)[:, 1], torch.sigmoid(logits[:, 0]))
    torch.testing.assert_close(probabilities(logits).sum(dim=1), torch.ones(3, 6, 5))
    torch.testing.assert_close(
        functional.cross_entropy(class_logits(logits), targets),
        functional.binary_cross_entropy_with_logits(logits[:, 0], targets.float()),
    )


def test_softmax_logits_stay_as_they_are():
    logits, _ = _maps(0, 3, 3)
    assert class_logits(logits) is logits
    torch.testing.assert_close(probabilities(logits), torch.softmax(logits, dim=1))


@given(counts=st.lists(st.integers(1, 50), min_size=2, max_size=5))
def test_balanced_weights_are_scikit_learns(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    theirs = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    assert balanced_weights(torch.tensor(counts)).tolist() == pytest.approx(theirs.tolist())


def test_an_absent_class_weighs_as_if_it_had_one_image():
    assert balanced_weights(torch.tensor([6, 0])).tolist() == [0.5, 3.0]


def test_cross_entropy_by_hand():
    """p = (1/4, 3/4), weights 1 and 3: (1 x log 4 + 3 x log 4/3) / 4."""
    logits, targets = torch.log(torch.tensor([[1.0, 3.0], [1.0, 3.0]])), torch.tensor([0, 1])
    expected = (np.log(4) + 3 * np.log(4 / 3)) / 4
    assert CrossEntropy(class_weights=(1.0, 3.0))(logits, targets, None).item() == pytest.approx(expected)
    counts = torch.tensor([3, 1])  # balanced: 4 / (2 x 3) and 4 / 2, which is 1 to 3
    assert CrossEntropy(class_weights="balanced")(logits, targets, counts).item() == pytest.approx(expected)


@given(seed=seeds)
def test_cross_entropy_is_torchs(seed):
    logits, targets = _maps(seed, 3, 3)
    weights = (0.5, 1.0, 4.0)
    loss = CrossEntropy(class_weights=weights, label_smoothing=0.1)(logits, targets, None)
    theirs = functional.cross_entropy(logits, targets, torch.tensor(weights), label_smoothing=0.1)
    torch.testing.assert_close(loss, theirs)


def test_balanced_without_counts_is_unweighted():
    logits, targets = _maps(0, 3, 3)
    assert torch.equal(
        CrossEntropy(class_weights="balanced")(logits, targets, None), CrossEntropy()(logits, targets, None)
    )


@pytest.mark.parametrize("loss", [CrossEntropy(class_weights=(1.0, 1.0)), DiceCrossEntropy(class_weights=(1.0, 1.0))])
def test_a_wrong_number_of_weights_is_named(loss):
    logits, targets = _maps(0, 3, 3)
    with pytest.raises(ScenarioError, match=r"class_weights: expected 3 values.*got 2"):
        loss(logits, targets, None)


@pytest.mark.parametrize(("pos_weight", "counts", "factor"), [("none", [4, 8], 1.0), (2.5, [4, 8], 2.5)])
def test_bce_is_torchs(pos_weight, counts, factor):
    logits, targets = _maps(1, 1, 2)
    loss = BinaryCrossEntropy(pos_weight=pos_weight)(logits, targets, torch.tensor(counts))
    theirs = functional.binary_cross_entropy_with_logits(logits[:, 0], targets.float(), pos_weight=torch.tensor(factor))
    torch.testing.assert_close(loss, theirs)


def test_balanced_bce_weighs_positives_by_negatives_over_positives():
    logits, targets = _maps(1, 1, 2)
    by_hand = BinaryCrossEntropy(pos_weight=3.0)(logits, targets, None)
    torch.testing.assert_close(
        BinaryCrossEntropy(pos_weight="balanced")(logits, targets, torch.tensor([9, 3])), by_hand
    )


@given(seed=seeds, smooth=st.sampled_from([1e-5, 1.0]))
def test_dice_is_monais_with_squared_denominator(seed, smooth):
    logits, targets = _maps(seed, 3, 3)
    theirs = DiceLoss(
        include_background=False, to_onehot_y=True, softmax=True, squared_pred=True, smooth_nr=smooth, smooth_dr=smooth
    )(logits, targets.unsqueeze(1))
    torch.testing.assert_close(Dice(smooth=smooth)(logits, targets, None), theirs)


@given(seed=seeds)
def test_dice_of_one_logit_is_monais_with_sigmoid(seed):
    logits, targets = _maps(seed, 1, 2)
    theirs = DiceLoss(sigmoid=True, squared_pred=True, smooth_nr=1e-5, smooth_dr=1e-5)(
        logits, targets.unsqueeze(1).float()
    )
    torch.testing.assert_close(Dice()(logits, targets, None), theirs)


def test_dice_by_hand():
    """p = 1/2 on four pixels, two of them true: 1 - 2 x 1 / (4 x 1/4 + 2) = 1/3."""
    loss = Dice()(torch.zeros(1, 1, 2, 2), torch.tensor([[[1, 1], [0, 0]]]), None)
    assert loss.item() == pytest.approx(1 / 3, abs=1e-5)


def test_dice_of_an_empty_mask():
    """Stated rule: nothing to find costs nothing if nothing is said, and nearly 1 if anything is."""
    empty = torch.zeros(1, 8, 8, dtype=torch.int64)
    assert Dice()(torch.full((1, 1, 8, 8), -20.0), empty, None) < 1e-6
    assert Dice()(torch.full((1, 1, 8, 8), 0.0), empty, None) > 0.999


@pytest.mark.parametrize("outputs", [1, 3])
def test_dice_ce_is_the_sum(outputs):
    logits, targets = _maps(2, outputs, max(outputs, 2))
    total = Dice()(logits, targets, None) + CrossEntropy()(logits, targets, None)
    torch.testing.assert_close(DiceCrossEntropy()(logits, targets, None), total)
