"""What every attack of MEMBERSHIP_ATTACKS must keep; a new line there is picked up by itself.

Oracles: the Protocol, and laws: a plain value, a number per image, no argument written to, the order of images and of
shadows plays no part, a larger confidence of the target never speaks against membership where shadows agree with it.
"""

import numpy as np
import pytest

from privacy.membership import MEMBERSHIP_ATTACKS
from privacy.membership.contract import MembershipAttack, Signals
from privacy.membership.roc import tpr_at
from tests.privacy.membership.worlds import gaussian_world

every_attack = pytest.mark.parametrize("name", MEMBERSHIP_ATTACKS)


@every_attack
def test_keeps_the_protocol_and_gives_a_number_per_image(name):
    attack = MEMBERSHIP_ATTACKS[name]()
    assert isinstance(attack, MembershipAttack)
    scores = attack(gaussian_world(50, 4, 2.0, 1.0, seed=0)[0])
    assert scores.shape == (50,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


@every_attack
def test_writes_to_nothing_and_says_the_same_twice(name):
    (given, _), (fresh, _) = (gaussian_world(50, 4, 2.0, 1.0, seed=1) for _ in range(2))
    attack = MEMBERSHIP_ATTACKS[name]()
    assert np.array_equal(attack(given), attack(given))
    for used, untouched in zip(vars(given).values(), vars(fresh).values(), strict=True):
        assert np.array_equal(used, untouched)


@every_attack
def test_the_order_of_images_and_of_shadows_plays_no_part(name):
    signals, _ = gaussian_world(60, 6, 2.0, 1.0, seed=2)
    draws = np.random.default_rng(0)
    images, shadows = draws.permutation(60), draws.permutation(6)
    moved = Signals(signals.target[images], signals.shadows[shadows][:, images], signals.trained_on[shadows][:, images])
    attack = MEMBERSHIP_ATTACKS[name]()
    assert attack(moved) == pytest.approx(attack(signals)[images])


@every_attack
def test_members_score_higher_where_the_model_knows_them(name):
    signals, members = gaussian_world(2000, 4, 6.0, 0.5, seed=3)
    scores = MEMBERSHIP_ATTACKS[name]()(signals)
    assert tpr_at(scores[members], scores[~members], 0.01) > 0.4


@every_attack
def test_extreme_confidences_are_scored(name):
    """Logits of 80 make probabilities of exactly 0 and 1."""
    draws = np.random.default_rng(4)
    inside = np.array([[True], [False], [True], [False]]) ^ (np.arange(30) % 2 == 0)
    signals = Signals(80 * draws.choice([-1.0, 1.0], 30), 80 * draws.choice([-1.0, 1.0], (4, 30)), inside)
    assert np.isfinite(MEMBERSHIP_ATTACKS[name]()(signals)).all()
