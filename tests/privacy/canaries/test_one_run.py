"""The one-run bound and the Gaussian fit. Oracles: figures measured beforehand with a script of another hand, closed
form, by hand, coverage.

The figures (mean of 95 % lower bounds of epsilon at delta 1e-5) are of ``audit_power.py``: 1.29 and 2.55 with 100 and
1000 canaries for a Gaussian of sigma 0.6, whose epsilon is 8.00; 5.86 and 7.32 by the fit.
"""

import math

import numpy as np
import pytest
from scipy.stats import binom

from privacy.canaries.gaussian_fit import fit_gaussian
from privacy.canaries.one_run import audit_one_run, largest_epsilon, lower_bound, p_value
from privacy.gaussian import gaussian_epsilon

DELTA = 1e-5
SIGMA = 0.6


def _scores(num_canaries: int, sigma: float, draws: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    included = draws.random(num_canaries) < 0.5
    return included + sigma * draws.standard_normal(num_canaries), included


@pytest.mark.parametrize(("num_canaries", "one_run", "fit"), [(100, 1.29, 5.86), (1000, 2.55, 7.32)])
def test_finds_what_was_measured_with_the_same_canaries(num_canaries, one_run, fit):
    draws, shown, fitted = np.random.default_rng(0), [], []
    for _ in range(12):
        scores, included = _scores(num_canaries, SIGMA, draws)
        shown.append(audit_one_run(scores, included, DELTA).epsilon)
        fitted.append(fit_gaussian(scores, included, DELTA).low)
    for found, expected in ((shown, one_run), (fitted, fit)):
        assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / math.sqrt(len(found)))


def test_without_delta_the_p_value_is_that_of_a_binomial():
    for right in (0, 50, 80, 100):
        assert p_value(100, 100, right, 1.0, 0.0) == pytest.approx(binom.sf(right - 1, 100, math.e / (1 + math.e)))


def test_delta_adds_what_the_theorem_says():
    """m = r = 2, both right: beta = q^2; i = 1: 1 - (1-q)^2 - q^2 = 2q - 2q^2; i = 2: (1 - q^2) / 2."""
    q = 0.5
    expected = q**2 + 2 * 2 * 0.01 * max(2 * q - 2 * q**2, (1 - q**2) / 2)
    assert p_value(2, 2, 2, 0.0, 0.01) == pytest.approx(expected)


@pytest.mark.parametrize("num_canaries", [20, 100, 1000, 10_000])
def test_no_more_can_be_shown_than_about_the_logarithm_of_a_third_of_the_canaries(num_canaries):
    largest = largest_epsilon(num_canaries)
    assert lower_bound(num_canaries, num_canaries, num_canaries, 0.0) == pytest.approx(largest, abs=1e-4)
    assert largest == pytest.approx(math.log(num_canaries / 3), abs=0.1)


def test_a_claim_beyond_that_cannot_be_refuted_whatever_happens():
    included = np.arange(1000) % 2 == 0
    found = audit_one_run(included.astype(float), included, DELTA)
    assert found.right == found.guesses == 1000
    assert found.epsilon <= found.largest + 1e-6
    assert found.can_refute(4.0)
    assert not found.can_refute(8.0)


def test_the_bound_is_above_the_truth_in_at_most_one_run_of_twenty():
    """Randomized response with q = e / (1 + e) has an epsilon of exactly 1: no noise is better at being found out."""
    draws, above = np.random.default_rng(1), 0
    for _ in range(60):
        included = draws.random(400) < 0.5
        lies = draws.random(400) >= math.e / (1 + math.e)
        scores = (included ^ lies) + 1e-3 * draws.random(400)
        above += audit_one_run(scores, included, 0.0).epsilon > 1.0
    assert above <= 6


def test_scores_that_say_nothing_show_nothing():
    draws = np.random.default_rng(2)
    assert audit_one_run(draws.random(1000), draws.random(1000) < 0.5, DELTA).epsilon < 0.3


def test_the_fit_finds_a_gaussian_mechanism_and_its_interval_covers_it():
    draws, covered, found = np.random.default_rng(3), 0, []
    for _ in range(200):
        fitted = fit_gaussian(*_scores(200, 1.0, draws), DELTA)
        covered += fitted.low <= gaussian_epsilon(1.0, DELTA)
        found.append(fitted.mu)
    assert 180 <= covered <= 199
    assert np.mean(found) == pytest.approx(1.0, abs=0.05)


def test_too_few_canaries_are_refused():
    with pytest.raises(ValueError, match="canaries"):
        audit_one_run(np.zeros(1), np.ones(1, dtype=bool), DELTA)
    with pytest.raises(ValueError, match="canaries"):
        fit_gaussian(np.arange(5.0), np.array([True, False, False, False, False]), DELTA)
