"""Attacks on membership. Oracles: Gaussians whose best attack is known (Neyman and Pearson), by hand, laws.

In a world where confidences are Gaussian with a shift for members, the likelihood ratio is a rising map of target minus
difficulty, whose ROC is that of two unit Gaussians; with many shadows LiRA must reach it. The loss threshold cannot.
"""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from privacy.membership.contract import Signals
from privacy.membership.lira_offline import LiraOffline
from privacy.membership.lira_online import LiraOnline
from privacy.membership.loss_threshold import LossThreshold
from privacy.membership.rmia import Rmia
from privacy.membership.roc import tpr_at
from tests.privacy.membership.worlds import gaussian_world

GAP = 3.0


def _tpr(attack, signals, members, fpr=0.01):
    scores = attack(signals)
    return tpr_at(scores[members], scores[~members], fpr)


@pytest.mark.parametrize("attack", [LiraOnline(), LiraOffline()])
def test_with_many_shadows_lira_is_as_good_as_anything_can_be(attack):
    signals, members = gaussian_world(20_000, 128, GAP, spread=3.0, seed=0)
    assert _tpr(attack, signals, members) == pytest.approx(norm.sf(norm.isf(0.01) - GAP), abs=0.03)


def test_a_variance_per_image_sees_what_a_common_one_does_not():
    """Half of the images are told without doubt, the others hardly: a common variance mixes them."""
    sharp, sharp_members = gaussian_world(5_000, 128, 2.0, spread=1.0, seed=1, deviation=0.3)
    blunt, blunt_members = gaussian_world(5_000, 128, 2.0, spread=1.0, seed=2, deviation=3.0)
    pairs = zip(vars(sharp).values(), vars(blunt).values(), strict=True)
    both = Signals(*(np.concatenate(pair, axis=-1) for pair in pairs))
    members = np.concatenate([sharp_members, blunt_members])
    assert _tpr(LiraOnline(per_image_variance=True), both, members) > _tpr(LiraOnline(), both, members) + 0.2


def test_images_that_differ_in_difficulty_hide_members_from_a_common_threshold():
    signals, members = gaussian_world(20_000, 8, GAP, spread=5.0, seed=3)
    weak = _tpr(LossThreshold(), signals, members)
    deviation = np.hypot(5.0, 1.0)
    assert weak == pytest.approx(norm.sf(norm.isf(0.01) - GAP / deviation), abs=0.02)
    assert all(_tpr(attack, signals, members) > 3 * weak for attack in (LiraOnline(), LiraOffline(), Rmia()))


@pytest.mark.parametrize("attack", [LossThreshold(), LiraOnline(), LiraOffline(), Rmia(), Rmia(references="offline")])
def test_without_a_signal_no_attack_does_better_than_chance(attack):
    signals, members = gaussian_world(20_000, 4, 0.0, spread=1.0, seed=4)
    scores = attack(signals)
    assert roc_auc_score(members, scores) == pytest.approx(0.5, abs=0.015)
    assert _tpr(attack, signals, members) == pytest.approx(0.01, abs=0.005)


def test_online_lira_by_hand():
    """Two shadows each; deviations from the means are 1 and 1 with one degree of freedom each, so variances of 2."""
    shadows = np.array([[4.0], [6.0], [-1.0], [1.0]])
    inside = np.array([[True], [True], [False], [False]])
    for target in (-2.0, 2.5, 7.0):
        signals = Signals(np.array([target]), shadows, inside)
        expected = norm.logpdf(target, 5.0, np.sqrt(2)) - norm.logpdf(target, 0.0, np.sqrt(2))
        assert LiraOnline()(signals)[0] == pytest.approx(expected)
        assert LiraOffline()(signals)[0] == pytest.approx(target / np.sqrt(2))


def test_rmia_by_hand():
    target, shadows = np.array([2.0, 0.0, -1.0]), np.array([[1.0, 0.0, -2.0], [0.0, 1.0, 0.5]])
    inside = np.array([[True, False, True], [False, True, False]])
    signals = Signals(target, shadows, inside)
    ratio = expit(target) / expit(shadows).mean(axis=0)
    for gamma in (1.0, 1.3):
        expected = [np.mean(one >= gamma * ratio) for one in ratio]
        assert Rmia(gamma=gamma)(signals) == pytest.approx(expected)
    outside = expit(np.array([0.0, 0.0, 0.5]))
    guessed = expit(target) / ((1.3 * outside + 0.7) / 2)
    assert Rmia(references="offline")(signals) == pytest.approx([np.mean(one >= guessed) for one in guessed])


def test_gamma_changes_who_ties_and_never_who_comes_first():
    signals, _ = gaussian_world(500, 4, GAP, spread=1.0, seed=5)
    plain, strict = Rmia()(signals), Rmia(gamma=2.0)(signals)
    order = np.argsort(plain)
    assert (np.diff(strict[order]) >= 0).all()
    assert len(np.unique(strict)) < len(np.unique(plain))


def test_too_few_shadows_are_refused_in_words():
    one = Signals(np.zeros(3), np.zeros((1, 3)), np.ones((1, 3), dtype=bool))
    for attack in (LiraOnline(), LiraOffline(), Rmia()):
        with pytest.raises(ValueError, match="shadow"):
            attack(one)
