"""Reading shares of labels. Oracle: movements that are an exact linear map of the shares, or noise."""

import numpy as np
import pytest

from privacy.membership.label_balance import fit_shares


def _moved(shares: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """Logits move towards classes that are frequent, and sum to zero."""
    slopes = draws.standard_normal((shares.shape[1], shares.shape[1]))
    moved = shares @ slopes + 0.3
    return moved - moved.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_shares_that_movements_follow_exactly_are_read_exactly(num_classes):
    draws = np.random.default_rng(0)
    shares = draws.dirichlet(np.ones(num_classes), 20)
    moved = _moved(shares, draws)
    assert fit_shares(moved[:15], shares[:15], moved[15:]) == pytest.approx(shares[15:], abs=1e-3)


def test_what_is_read_are_shares_however_far_the_movement():
    draws = np.random.default_rng(1)
    shares = draws.dirichlet(np.ones(3), 10)
    found = fit_shares(_moved(shares, draws), shares, 100.0 * draws.standard_normal((50, 3)))
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert found.min() >= 0.0


def test_movements_that_say_nothing_read_the_mean():
    shares = np.random.default_rng(2).dirichlet(np.ones(3), 10)
    assert fit_shares(np.zeros((10, 3)), shares, np.zeros((1, 3)))[0] == pytest.approx(shares.mean(axis=0))
