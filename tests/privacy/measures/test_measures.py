"""Measures of likeness. Oracles: hand-computed values, torchmetrics, brute force over permutations, exact moves of an
image, scipy's binomial test."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from torchmetrics.functional.image import peak_signal_noise_ratio

from privacy.measures.identification import correlation_distance, luck, named, rank_in_line_up
from privacy.measures.images import LARGEST_DB, MeasureError, pairwise_mse, psnr, ssim
from privacy.measures.matching import label_accuracy, match, match_images, nearest_images
from privacy.measures.registered import registered_psnr


def images(number: int, side: int = 12, channels: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.rand(number, channels, side, side, generator=torch.Generator().manual_seed(seed))


def test_psnr_by_hand() -> None:
    """An error of 0.1 everywhere is an MSE of 0.01, 20 dB; an equal image has the cap; 7 counts as 1."""
    truth = torch.full((3, 1, 4, 4), 0.5)
    found = torch.stack([truth[0] + 0.1, truth[1], torch.full((1, 4, 4), 7.0)])
    assert psnr(found, truth).tolist() == pytest.approx([20.0, LARGEST_DB, 10 * np.log10(4)], abs=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_and_ssim_are_those_of_torchmetrics(channels: int) -> None:
    truth, found = images(4, 16, channels), images(4, 16, channels, seed=1)
    for one, other, value in zip(found, truth, psnr(found, truth), strict=True):
        assert float(value) == pytest.approx(float(peak_signal_noise_ratio(one, other, data_range=1.0)), abs=1e-4)
    assert ssim(truth, truth).tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    assert bool((ssim(found, truth) < 0.5).all())
    constant = torch.stack([torch.full((channels, 16, 16), 0.2), torch.full((channels, 16, 16), 0.6)])
    by_hand = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)  # Wang et al. 2004, eq. 6, with no contrast
    assert float(ssim(constant[:1], constant[1:])) == pytest.approx(by_hand, abs=1e-4)


def test_volumes_are_compared_as_images_are() -> None:
    truth = torch.rand(2, 1, 12, 12, 12, generator=torch.Generator().manual_seed(0))
    assert ssim(truth, truth).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    assert psnr(truth, truth).tolist() == [LARGEST_DB, LARGEST_DB]
    moved = truth.roll((1, 2, -1), (2, 3, 4))
    assert bool((registered_psnr(moved, truth, 2, flips=False) == LARGEST_DB).all())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), "floating point in \\[0, 1\\]; got uint8"),
        (torch.full((2, 1, 4, 4), float("nan")), "finite values"),
        (torch.zeros(2, 3, 4, 4), "expected images of shape \\(1, 4, 4\\); got \\(3, 4, 4\\)"),
        (torch.zeros(3, 1, 4, 4), "as many images as true ones, 2; got 3"),
    ],
)
def test_what_cannot_be_compared_is_one_line(found: torch.Tensor, expected: str) -> None:
    with pytest.raises(MeasureError, match=expected) as error:
        psnr(found, torch.zeros(2, 1, 4, 4))
    assert "\n" not in str(error.value)


def test_a_small_image_has_no_ssim() -> None:
    with pytest.raises(MeasureError, match="11 pixels"):
        ssim(images(1, 8), images(1, 8))


@given(st.integers(-2, 2), st.integers(-2, 2), st.booleans(), st.booleans())
def test_registration_undoes_a_move_and_a_mirror(down: int, right: int, upside: bool, sideways: bool) -> None:
    truth = images(1, 9)
    moved = truth.roll((down, right), (2, 3))
    mirrored = moved.flip([axis for axis, flip in ((2, upside), (3, sideways)) if flip])
    assert float(registered_psnr(mirrored, truth, 2)) == LARGEST_DB


def test_registration_never_lowers_and_needs_what_it_is_told() -> None:
    truth, found = images(3), images(3, seed=1)
    assert bool((registered_psnr(found, truth) >= psnr(found, truth) - 1e-4).all())
    assert registered_psnr(found, truth, 0, flips=False).tolist() == pytest.approx(
        psnr(found, truth).tolist(), abs=1e-4
    )
    assert float(registered_psnr(truth.flip(3), truth, 2, flips=False).max()) < 20.0
    with pytest.raises(ValueError, match="max_shift"):
        registered_psnr(truth, truth, 7)


@given(st.permutations(range(5)))
def test_matching_undoes_any_order(order: list[int]) -> None:
    truth = images(5, 4)
    noise = 0.05 * torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    assert match_images(truth[order] + noise, truth).tolist() == [order.index(i) for i in range(5)]


@given(st.integers(0, 1000))
def test_matching_costs_least_of_all_permutations(seed: int) -> None:
    cost = torch.rand(4, 4, generator=torch.Generator().manual_seed(seed))
    least = min(sum(float(cost[row, column]) for column, row in enumerate(rows)) for rows in permutations(range(4)))
    assert float(cost[match(cost), torch.arange(4)].sum()) == pytest.approx(least)


def test_more_images_than_true_ones_are_matched_and_fewer_are_refused() -> None:
    assert match(torch.tensor([[5.0, 1.0], [9.0, 9.0], [0.0, 7.0]])).tolist() == [2, 0]
    with pytest.raises(ValueError, match="at least 2"):
        match(torch.zeros(1, 2))


def test_the_nearest_image_may_stand_for_two() -> None:
    """Hand-made: one rebuilt image near both, another far from them."""
    truth = torch.stack([torch.full((1, 2, 2), 0.2), torch.full((1, 2, 2), 0.3)])
    found = torch.stack([torch.full((1, 2, 2), 0.25), torch.full((1, 2, 2), 0.9)])
    assert nearest_images(found, truth).tolist() == [0, 0]
    assert match_images(found, truth).tolist() == [0, 1] or match_images(found, truth).tolist() == [1, 0]
    assert pairwise_mse(found, truth)[0].tolist() == pytest.approx([0.0025, 0.0025], abs=1e-6)


def test_label_accuracy_by_hand() -> None:
    """{0, 1, 1, 2} against {1, 0, 0, 2}: one 0, one 1 and one 2 are shared."""
    assert label_accuracy(torch.tensor([0, 1, 1, 2]), torch.tensor([1, 0, 0, 2])) == 0.75
    assert label_accuracy(torch.tensor([2, 0, 1]), torch.tensor([0, 1, 2])) == 1.0
    assert label_accuracy(torch.tensor([3]), torch.tensor([0])) == 0.0
    with pytest.raises(ValueError, match="expected 2 labels"):
        label_accuracy(torch.tensor([1]), torch.tensor([0, 1]))


def test_the_distance_is_one_minus_numpy_s_correlation_and_blind_to_contrast() -> None:
    one, other = images(3, 5), images(2, 5, seed=1)
    expected = 1 - np.corrcoef(one.flatten(1), other.flatten(1))[:3, 3:]
    assert np.allclose(correlation_distance(one, other), expected, atol=1e-6)
    assert torch.allclose(correlation_distance(0.5 * one + 0.2, other), correlation_distance(one, other), atol=1e-6)
    assert correlation_distance(torch.full((1, 1, 5, 5), 0.3), other).tolist() == [[1.0, 1.0]]


def test_the_place_in_a_line_up_by_hand() -> None:
    """The target is the rebuilt image under noise; a decoy that is as near stands before it."""
    target, decoys = images(1), images(9, seed=1)
    noisy = target + 0.1 * images(1, seed=2)
    assert rank_in_line_up(noisy, target, decoys) == 1
    assert (
        rank_in_line_up(decoys[:1], target, decoys)
        == sum(
            float(correlation_distance(decoys[:1], decoys[i : i + 1]))
            <= float(correlation_distance(decoys[:1], target))
            for i in range(9)
        )
        + 1
    )
    assert rank_in_line_up(noisy, target, torch.cat([decoys, target])) == 2
    assert rank_in_line_up(torch.cat([images(2, seed=5), noisy]), target, decoys) == 1
    with pytest.raises(ValueError, match="1 target"):
        rank_in_line_up(noisy, target, decoys[:0])


def test_without_a_leak_the_right_one_is_named_as_often_as_by_chance() -> None:
    """Law: rebuilt images that have nothing to do with the target put it first once in ten, line-ups of ten."""
    draws = torch.Generator().manual_seed(3)
    ranks = [
        rank_in_line_up(
            torch.rand(4, 1, 3, 3, generator=draws), *torch.rand(10, 1, 3, 3, generator=draws).split((1, 9))
        )
        for _ in range(600)
    ]
    assert binomtest(sum(rank == 1 for rank in ranks), 600, 0.1).pvalue > 0.01
    assert 4.9 < np.mean(ranks) < 6.1


@given(st.lists(st.integers(1, 3), min_size=1, max_size=40))
def test_the_share_of_named_patients_has_scipy_s_exact_interval(ranks: list[int]) -> None:
    found = named(ranks)
    exact = binomtest(ranks.count(1), len(ranks)).proportion_ci(0.95, "exact")
    assert (found.value, found.n) == (ranks.count(1) / len(ranks), len(ranks))
    assert (found.low, found.high) == (pytest.approx(exact.low), pytest.approx(exact.high))


def test_luck_is_the_binomial_tail() -> None:
    """By hand: one of one in a line-up of six; two or more of three in line-ups of ten; nothing to see."""
    assert luck([1], 6) == pytest.approx(1 / 6)
    assert luck([1, 1, 4], 10) == pytest.approx(3 * 0.01 * 0.9 + 0.001)
    assert luck([2, 3], 10) == pytest.approx(1.0)
    assert luck([], 10) == 1.0
