"""Intervals for verdicts. Oracles: simulations whose truth is known in closed form, laws, figures by hand.

Of 500 draws with coverage 95 % the share that misses has a standard error of one per cent.
"""

import math

import numpy as np
import pytest
from scipy.stats import norm

from medfed.audit.intervals import (
    auroc_ends,
    combined,
    difference,
    effective,
    mean_ends,
    mean_of,
    share_ends,
    simultaneous,
)
from medfed.audit.verdicts import clopper_pearson
from medfed.results import Estimate

DRAWS = 500


def _auroc(positives: np.ndarray, negatives: np.ndarray) -> float:
    return float(np.greater.outer(positives, negatives).mean())


def _drawn(truth: float, m: int, n: int, seed: int = 0) -> list[float]:
    """AUROCs of normal scores whose means lie so far apart that the true one is ``truth``."""
    draws, apart = np.random.default_rng(seed), norm.ppf(truth) * math.sqrt(2.0)
    return [_auroc(draws.normal(apart, 1.0, m), draws.normal(0.0, 1.0, n)) for _ in range(DRAWS)]


@pytest.mark.parametrize(("truth", "m", "n"), [(0.8, 10, 10), (0.97, 10, 10), (0.9, 10, 40)])
def test_the_interval_of_an_auroc_covers_the_truth_on_few_images(truth: float, m: int, n: int):
    ends = [auroc_ends(value, m, n, 0.95) for value in _drawn(truth, m, n)]
    passed, failed = (np.mean([low > truth for low, _ in ends]), np.mean([high < truth for _, high in ends]))
    assert passed <= 0.025  # the side of an undeserved PASS
    assert passed + failed <= 0.065


def test_a_percentile_bootstrap_does_not():
    """What this module is there for, on the same draws: of ten perfect answers its interval is 1 to 1."""
    missed, draws = 0, np.random.default_rng(1)
    for _ in range(DRAWS):
        positives, negatives = draws.normal(norm.ppf(0.97) * math.sqrt(2.0), 1.0, 10), draws.normal(0.0, 1.0, 10)
        missed += _auroc(positives, negatives) == 1.0
    assert missed / DRAWS > 0.2


@pytest.mark.parametrize(("value", "other"), [(1.0, 0.0), (0.0, 1.0)])
def test_no_interval_shrinks_to_a_point_where_every_answer_is_right(value: float, other: float):
    for low, high in (
        auroc_ends(value, 10, 10, 0.95),
        share_ends(value, 10, 0.95),
        mean_ends(value, 0.0, 10, 0.95),
    ):
        assert (high if value == 1.0 else low) == pytest.approx(value)
        assert high - low > 0.15
    assert mean_ends(value, 0.0, 10, 0.95) == pytest.approx(clopper_pearson(10 * value, 10))


def test_the_ends_of_an_auroc_are_where_the_score_test_turns():
    """Newcombe 2006, method 5, written out for 30 positives and 20 negatives."""
    m, n, value, z = 30, 20, 0.85, 1.959963985
    for theta in auroc_ends(value, m, n, 0.95):
        half = (m + n) / 2 - 1
        spread = 1 + half * (1 - theta) / (2 - theta) + half * theta / (1 + theta)
        assert abs(value - theta) == pytest.approx(z * math.sqrt(theta * (1 - theta) * spread / (m * n)))


def test_an_auroc_seen_from_the_other_class_has_the_mirrored_interval():
    low, high = auroc_ends(0.8, 12, 30, 0.95)
    assert auroc_ends(0.2, 30, 12, 0.95) == pytest.approx((1 - high, 1 - low))


def test_a_mean_of_few_dice_scores_covers_better_than_its_bootstrap():
    """Scores of Beta(8, 2), mean 0.8. Student's interval of ten skewed values misses a little above 5 %."""
    draws, missed, bootstrap = np.random.default_rng(0), 0, 0
    for _ in range(DRAWS):
        values = draws.beta(8.0, 2.0, 10)
        low, high = mean_ends(float(values.mean()), float(values.std()) / math.sqrt(10), 10, 0.95)
        missed += not low <= 0.8 <= high
        ends = np.quantile(values[draws.integers(10, size=(200, 10))].mean(axis=1), [0.025, 0.975])
        bootstrap += not ends[0] <= 0.8 <= ends[1]
    assert missed / DRAWS <= 0.08
    assert bootstrap / DRAWS > missed / DRAWS + 0.02


def test_the_mean_of_two_recalls_covers_the_truth_on_few_images():
    draws, truth, missed = np.random.default_rng(0), (0.95 + 0.8) / 2, 0
    for _ in range(DRAWS):
        shares = [float(draws.binomial(n, p)) / n for n, p in ((10, 0.95), (20, 0.8))]
        ends = [share_ends(share, n, 0.95) for share, n in zip(shares, (10, 20), strict=True)]
        found = mean_of([Estimate(value=v, low=e[0], high=e[1], n=1) for v, e in zip(shares, ends, strict=True)])
        missed += not found.low <= truth <= found.high
    assert missed / DRAWS <= 0.05


def test_the_worst_of_eight_sites_that_just_reach_the_threshold_is_no_finding():
    """Every site's true AUROC is 0.8, 25 images of a class: with 95 % at each site one audit in six fails."""
    values = [_drawn(0.8, 25, 25)[i : i + 8] for i in range(0, DRAWS - 8, 8)]

    def fails(confidence: float) -> float:
        return float(np.mean([any(auroc_ends(v, 25, 25, confidence)[1] < 0.8 for v in sites) for sites in values]))

    assert fails(0.95) > 0.12
    assert fails(simultaneous(8)) <= 0.08


def test_simultaneous_intervals_cover_together():
    assert simultaneous(1) == simultaneous(0) == 0.95
    assert simultaneous(20) ** 20 == pytest.approx(0.95)


def test_images_of_one_patient_count_as_one():
    assert effective(["a", "b", "c"]) == 3.0
    assert effective(["a"] * 7) == 1.0
    assert effective(["a", "a", "b", "b"]) == 2.0
    assert effective(["a", "a", "a", "b"]) == pytest.approx(1.6)  # 4^2 / (9 + 1)
    assert effective([]) == 0.0


def _of(value: float | None, below: float, above: float) -> Estimate:
    if value is None:
        return Estimate(value=None, low=None, high=None, n=1)
    return Estimate(value=value, low=value - below, high=value + above, n=1)


def test_distances_add_in_squares_where_figures_are_independent_and_else_in_full():
    parts = [_of(0.5, 0.3, 0.03), _of(0.7, 0.4, 0.04)]
    alone, bound = mean_of(parts), mean_of(parts, independent=False)
    assert (alone.value, alone.low, alone.high, alone.n) == pytest.approx((0.6, 0.6 - 0.25, 0.6 + 0.025, 2))
    assert (bound.low, bound.high) == pytest.approx((0.6 - 0.35, 0.6 + 0.035))
    gap = difference(parts[1], parts[0])
    assert (gap.value, gap.low, gap.high) == pytest.approx(
        (0.2, 0.2 - math.hypot(0.4, 0.03), 0.2 + math.hypot(0.04, 0.3))
    )


def test_what_is_unknown_stays_unknown():
    assert mean_of([_of(0.5, 0.1, 0.1), _of(None, 0, 0)]).value is None
    assert combined([], 0).value is None
    half = Estimate(value=0.5, low=None, high=None, n=1)
    assert (mean_of([half, _of(0.7, 0.1, 0.1)]).value, mean_of([half, _of(0.7, 0.1, 0.1)]).low) == (0.6, None)
