"""True positives at few false positives. Oracles: scikit-learn, Gaussians in closed form, by hand, coverage, laws."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_curve

from medfed.audit.verdicts import clopper_pearson
from privacy.membership.roc import beyond_luck, enough, threshold_at, tpr_at, tpr_estimate

small = st.integers(-3, 3)


@given(st.lists(small, min_size=1, max_size=40), st.lists(small, min_size=1, max_size=40), st.floats(0.001, 0.999))
def test_is_the_highest_point_of_the_curve_that_scikit_learn_draws(members, others, fpr):
    """Also with ties, which are many here."""
    members, others = np.array(members, dtype=float), np.array(others, dtype=float)
    labels = np.repeat([1, 0], [len(members), len(others)])
    false, true, _ = roc_curve(labels, np.concatenate([members, others]), drop_intermediate=False)
    assert tpr_at(members, others, fpr) == pytest.approx(true[false <= fpr + 1e-9].max())


def test_two_gaussians_have_the_share_of_the_closed_form():
    draws = np.random.default_rng(0)
    members, others = draws.standard_normal(100_000) + 2.0, draws.standard_normal(100_000)
    for fpr in (0.001, 0.01, 0.1):
        assert tpr_at(members, others, fpr) == pytest.approx(norm.sf(norm.isf(fpr) - 2.0), abs=0.02)


@pytest.mark.parametrize(("num_members", "num_others", "fpr"), [(3, 4, 0.1), (4, 4, 0.3), (5, 3, 0.7)])
def test_luck_is_counted_over_all_orders_of_the_scores(num_members, num_others, fpr):
    """By enumeration: the share that knowing nothing reaches in at most so many of all equally likely orders."""
    total, shares = num_members + num_others, []
    for places in combinations(range(total), num_members):
        others = np.array([place for place in range(total) if place not in places], dtype=float)
        shares.append(tpr_at(np.array(places, dtype=float), others, fpr))
    for error in (0.02, 0.1, 0.3):
        least = beyond_luck(num_members, num_others, fpr, error)
        assert np.mean(np.array(shares) >= least - 1e-9) <= error
        assert np.mean(np.array(shares) >= least - 1 / num_members - 1e-9) > error


def test_of_ten_and_ten_images_half_are_named_by_luck_in_one_of_sixty_trials():
    """By hand: the first five of twenty are all members with 10 9 8 7 6 / (20 19 18 17 16) = 0.0163."""
    assert beyond_luck(10, 10, 0.01, 0.0163) == 0.5
    assert beyond_luck(10, 10, 0.01, 0.0162) == 0.6


def test_without_a_signal_the_share_is_about_the_rate():
    draws = np.random.default_rng(1)
    scores = draws.standard_normal(20_000)
    order = draws.permutation(len(scores))
    assert tpr_at(scores[order[:10_000]], scores[order[10_000:]], 0.01) == pytest.approx(0.01, abs=0.004)


@pytest.mark.parametrize(("separation", "num_others", "fpr"), [(0.0, 500, 0.01), (2.0, 150, 0.01), (3.0, 2000, 0.001)])
def test_the_interval_covers_the_true_share_at_least_as_often_as_it_says(separation, num_others, fpr):
    draws = np.random.default_rng(2)
    true, covered = norm.sf(norm.isf(fpr) - separation), 0
    for _ in range(200):
        found = tpr_estimate(draws.standard_normal(200) + separation, draws.standard_normal(num_others), fpr)
        covered += found.low <= true <= found.high
    assert covered >= 190


def test_with_endless_non_members_the_interval_is_that_of_a_share():
    """Only the members' own uncertainty is left, at the confidence that is theirs."""
    others = np.linspace(0.0, 1.0, 2_000_001)
    members = np.repeat([2.0, -1.0], [30, 70])
    found = tpr_estimate(members, others, 0.01)
    assert (found.low, found.high) == pytest.approx(clopper_pearson(30, 100, 0.975))
    assert (found.value, found.n) == (0.3, 100)


def test_few_non_members_are_never_enough_to_say_that_members_stand_out():
    """Of 100 non-members the largest may well be exceeded by 2 %: (1 - 0.01)^100 is far above any error allowed."""
    found = tpr_estimate(np.full(50, 9.0), np.arange(100) / 100, 0.01)
    assert (found.value, found.low, found.high) == (1.0, 0.0, 1.0)
    assert tpr_estimate(np.full(50, 9.0), np.arange(500) / 500, 0.01).low > 0.85


def test_a_rate_finer_than_one_image_is_not_stated():
    found = tpr_estimate(np.ones(5), np.zeros(99), 0.01)
    assert (found.value, found.low, found.high, found.n) == (None, None, None, 5)
    assert [enough(n, 0.001) for n in (999, 1000)] == [False, True]
    assert enough(100, 0.01)


def test_the_threshold_counts_false_positives_as_by_hand():
    others = np.arange(300.0)
    assert (others > threshold_at(others, 0.01)).sum() == 3
    assert (others > threshold_at(others, 0.0099)).sum() == 2


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30), st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_a_rising_map_of_the_scores_changes_nothing(members, others):
    members, others = np.round(members, 6), np.round(others, 6)
    assert tpr_at(members, others, 0.2) == tpr_at(np.exp(members), np.exp(others), 0.2)


@pytest.mark.parametrize(
    ("members", "others", "fpr"), [([], [1.0], 0.1), ([1.0], [], 0.1), ([np.nan], [1.0], 0.1), ([1.0], [1.0], 1.0)]
)
def test_refuses_what_has_no_answer(members, others, fpr):
    with pytest.raises(ValueError, match=r"expected|must be"):
        tpr_at(np.array(members), np.array(others), fpr)
