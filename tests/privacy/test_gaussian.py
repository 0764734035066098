"""The cost of Gaussian noise. Oracles: dp-accounting's privacy loss distributions, Opacus's RDP (an upper bound),
numerical integration, inverse, limits, and published cases in notes of what others get wrong."""

import math

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from hypothesis import given
from hypothesis import strategies as st
from opacus.accountants import RDPAccountant
from scipy.integrate import quad
from scipy.stats import norm

from privacy.gaussian import composed_mu, gaussian_epsilon, gaussian_mu, log_delta, noise_multiplier

GRID = [(z, steps) for z in (0.6, 1.0, 4.5, 30.0) for steps in (1, 10, 50)]


@pytest.mark.parametrize(("multiplier", "steps"), GRID)
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-8])
def test_equals_the_privacy_loss_distribution(multiplier, steps, delta):
    accountant = PLDAccountant(value_discretization_interval=1e-3)
    accountant.compose(SelfComposedDpEvent(GaussianDpEvent(multiplier), steps))
    found = gaussian_epsilon(composed_mu([multiplier] * steps), delta)
    # theirs is an upper bound, by rounding up to multiples of the interval
    assert found == pytest.approx(accountant.get_epsilon(delta), rel=0.01, abs=2e-3)


@pytest.mark.parametrize(("multiplier", "steps"), [case for case in GRID if case[0] < 30.0])  # its orders end at 63
def test_is_at_most_what_renyi_says(multiplier, steps):
    accountant = RDPAccountant()
    accountant.history = [(multiplier, 1.0, steps)]
    bound = accountant.get_epsilon(1e-5)
    found = gaussian_epsilon(composed_mu([multiplier] * steps), 1e-5)
    assert 0.75 * bound < found <= bound


@pytest.mark.parametrize(("mu", "epsilon"), [(0.3, 0.2), (1.0, 1.0), (2.0, 4.0)])
def test_delta_is_the_integral_of_what_one_density_exceeds_the_other_by(mu, epsilon):
    def excess(x):
        return max(0.0, norm.pdf(x, mu) - math.exp(epsilon) * norm.pdf(x))

    start = epsilon / mu + mu / 2.0  # where the excess begins
    assert math.exp(log_delta(epsilon, mu)) == pytest.approx(quad(excess, start, mu + 40.0)[0], rel=1e-6)


@given(st.floats(1e-3, 1e3), st.floats(-20.0, -2.0))
def test_inverse(mu, exponent):
    delta = 10.0**exponent
    epsilon = gaussian_epsilon(mu, delta)
    if epsilon > 0.0:
        assert math.isfinite(epsilon)
        assert gaussian_mu(epsilon, delta) == pytest.approx(mu, rel=1e-6)
        assert log_delta(epsilon, mu) == pytest.approx(math.log(delta), rel=1e-6)


def test_limits_and_the_case_of_the_notes():
    assert gaussian_epsilon(0.0, 1e-5) == 0.0
    assert gaussian_epsilon(1e-6, 1e-5) == 0.0  # then even (0, delta) holds
    assert gaussian_epsilon(0.5, 1e-5) < gaussian_epsilon(0.5, 1e-6) < gaussian_epsilon(0.6, 1e-6)
    assert gaussian_epsilon(composed_mu([4.5] * 50), 1e-5) == pytest.approx(7.46, abs=5e-3)  # by dp-accounting
    assert 4.2 < noise_multiplier(8.0, 1e-5, 50) < 4.5  # 4.5 is what RDP asks for
    # sqrt(2 ln(1.25 / delta)) S / epsilon: enough below epsilon 1, and too little far above it
    classic = math.sqrt(2.0 * math.log(1.25e5))
    assert gaussian_mu(0.9, 1e-5) > 0.9 / classic
    assert gaussian_mu(100.0, 1e-5) < 100.0 / classic


@pytest.mark.parametrize(("mu", "delta"), [(-1.0, 1e-5), (math.inf, 1e-5), (math.nan, 1e-5), (1.0, 0.0), (1.0, 1.0)])
def test_refuses_what_has_no_meaning(mu, delta):
    with pytest.raises(ValueError, match="must be"):
        gaussian_epsilon(mu, delta)


def test_releases_compose_in_any_split():
    whole = composed_mu([3.0] * 12)
    parts = [composed_mu([3.0] * 5), composed_mu([3.0] * 7)]
    assert whole == pytest.approx(math.hypot(*parts)) == pytest.approx(math.sqrt(12) / 3.0)
    assert composed_mu(np.array([])) == 0.0
