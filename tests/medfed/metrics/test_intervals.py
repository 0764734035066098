"""Bootstrap intervals and means over sites. Oracles: closed forms of the bootstrap of a mean, numpy, laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medfed.metrics import intervals
from medfed.metrics.classification import auroc
from medfed.metrics.intervals import bootstrap, bootstrap_all, mean_over_sites, point_estimates
from medfed.metrics.weights import weighted_mean
from medfed.results import Estimate


def _mean_of(values):
    return lambda weights: weighted_mean(values, weights)


def _generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_mean_has_its_textbook_error():
    """Closed form: the bootstrap error of a mean of n is the standard deviation (ddof 0) / sqrt(n)."""
    values = _generator(1).normal(size=400)
    names = [str(i) for i in range(400)]
    estimate = bootstrap(_mean_of(values), names, 4000, _generator())
    error = values.std() / math.sqrt(400)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.se == pytest.approx(error, rel=0.05)
    assert estimate.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert estimate.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert estimate.n == 400


def test_images_of_a_patient_stay_together():
    """Law: with k copies of each patient the interval is that of the patients, draw for draw."""
    values = _generator(2).random(30)
    alone = bootstrap(_mean_of(values), [f"p{i:02}" for i in range(30)], 500, _generator())
    copies = bootstrap(
        _mean_of(np.repeat(values, 4)), [f"p{i:02}" for i in range(30) for _ in range(4)], 500, _generator()
    )
    assert copies.model_dump() == pytest.approx(alone.model_dump())


def test_draws_are_multinomial():
    """Law: each draw hands out as many patients as there are, and each is drawn once on average."""
    (draws,) = intervals._draws(np.arange(25), 25, 2000, _generator())
    assert (draws.sum(axis=1) == 25).all()
    assert draws.mean(axis=0) == pytest.approx(np.ones(25), abs=0.15)
    assert draws.var() == pytest.approx(24 / 25, rel=0.05)  # closed form: n p (1 - p)


@given(rows=st.integers(1, 60))
def test_the_chunks_do_not_change_the_result(rows):
    values, names = _generator(3).random(20), [str(i) for i in range(20)]
    whole = bootstrap(_mean_of(values), names, 100, _generator())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "CHUNK_BYTES", rows * 20 * 8)
        chunked = bootstrap(_mean_of(values), names, 100, _generator())
    assert chunked.model_dump() == pytest.approx(whole.model_dump())


def test_several_metrics_share_the_draws():
    values, names = _generator(4).random(20), [str(i) for i in range(20)]
    both = bootstrap_all({"a": _mean_of(values), "b": _mean_of(1 - values)}, names, 200, _generator())
    assert both["a"] == bootstrap(_mean_of(values), names, 200, _generator())
    assert both["b"].low == pytest.approx(1 - both["a"].high)


def test_undefined_draws_are_left_out():
    """One positive of 12 is missing from (1 - 1/12)^12 = 35 % of the draws: an interval all the same."""
    p = _generator(5).random(12)
    labels = np.array([1] + [0] * 11)
    metric = lambda weights: auroc(np.stack([1 - p, p], axis=1), labels, weights)  # noqa: E731
    estimate = bootstrap(metric, [str(i) for i in range(12)], 400, _generator())
    assert estimate.low is not None
    assert estimate.low <= estimate.value <= estimate.high


def test_no_interval_if_most_draws_are_undefined():
    def rarely(weights):
        return np.where(weights[..., 0] == 1, 0.5, np.nan)  # 37 % of the draws

    estimate = bootstrap(rarely, [str(i) for i in range(30)], 400, _generator())
    assert (estimate.value, estimate.low, estimate.high, estimate.se) == (0.5, None, None, None)


def test_an_undefined_metric_is_none():
    labels = np.zeros(5, dtype=np.int64)
    estimate = bootstrap(lambda w: auroc(np.full((5, 2), 0.5), labels, w), list("abcde"), 100, _generator())
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (None, None, None, 5)


def test_one_patient_has_no_interval():
    assert bootstrap(_mean_of(np.arange(4.0)), ["a"] * 4, 100, _generator()) == Estimate(
        value=1.5, low=None, high=None, n=1
    )


def test_points_alone():
    points = point_estimates({"mean": _mean_of(np.array([1.0, 2.0, 6.0]))}, ["a", "a", "b"])
    assert points == {"mean": Estimate(value=3.0, low=None, high=None, n=2)}


def _site(value, se, n=10):
    return Estimate(value=value, low=None if se is None else 0.0, high=None if se is None else 1.0, n=n, se=se)


def test_mean_over_sites_by_hand():
    """(0.5 + 0.7) / 2 = 0.6; se = hypot(0.03, 0.04) / 2 = 0.025; shared: 0.07 / 2 = 0.035 and n of one."""
    sites = [_site(0.5, 0.03, 10), _site(0.7, 0.04, 20)]
    apart, shared = mean_over_sites(sites), mean_over_sites(sites, shared=True)
    assert (apart.value, apart.se, apart.n) == (pytest.approx(0.6), pytest.approx(0.025), 30)
    assert apart.low == pytest.approx(0.6 - 1.959964 * 0.025)
    assert apart.high == pytest.approx(0.6 + 1.959964 * 0.025)
    assert (shared.value, shared.se, shared.n) == (pytest.approx(0.6), pytest.approx(0.035), 20)


def test_mean_over_sites_of_one_site_is_that_site():
    for shared in (False, True):
        mean = mean_over_sites([_site(0.8, 0.1)], shared=shared)
        assert (mean.value, mean.se, mean.n) == (0.8, pytest.approx(0.1), 10)


def test_mean_over_sites_stays_in_bounds_unless_told():
    assert mean_over_sites([_site(0.99, 0.2)]).high == 1.0
    assert mean_over_sites([_site(0.99, 0.2)], bounded=False).high > 1.0


def test_sites_without_value_are_left_out():
    assert mean_over_sites([_site(None, None, 5), _site(0.5, 0.1, 7)]) == mean_over_sites([_site(0.5, 0.1, 7)])
    nothing = Estimate(value=None, low=None, high=None, n=0)
    assert mean_over_sites([_site(None, None, 5)]) == nothing
    assert mean_over_sites([]) == nothing


def test_a_site_without_error_leaves_no_interval():
    mean = mean_over_sites([_site(0.4, None), _site(0.6, 0.1)])
    assert (mean.value, mean.low, mean.high, mean.se) == (pytest.approx(0.5), None, None, None)


@given(errors=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6))
def test_shared_data_never_gives_the_narrower_interval(errors):
    """Law: the sum of errors is at least their root of squares."""
    sites = [_site(0.5, error) for error in errors]
    apart, shared = (mean_over_sites(sites, shared=flag).se for flag in (False, True))
    assert shared >= apart - 1e-12
