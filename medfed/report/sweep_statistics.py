"""Means over seeds with Student's t intervals, and paired differences. Pure: numbers in, estimates out.

The seeds are taken as independent draws from one distribution (Student, "The probable error of a mean", Biometrika
1908). The interval speaks of another seed on the same images, not of other patients, and is not corrected for the
number of rows that one looks at.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from scipy import stats

from medfed.results import Estimate

CONFIDENCE = 0.95


def mean_over_seeds(values: Sequence[float], bounded: bool = False) -> Estimate:
    """Mean +- t(1 - a/2; n - 1) s / sqrt(n), with s the standard deviation of the n values (divisor n - 1).

    One value has no interval, none no value.

    Args:
        values: one per seed.
        bounded: the quantity lies in [0, 1], and so shall the interval.
    """
    n = len(values)
    if n == 0:
        return Estimate(value=None, low=None, high=None, n=0)
    mean = statistics.fmean(values)
    if n == 1:
        return Estimate(value=mean, low=None, high=None, n=1)
    se = statistics.stdev(values) / math.sqrt(n)
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2.0, n - 1)) * se
    low, high = mean - reach, mean + reach
    if bounded:
        low, high = max(low, 0.0), min(high, 1.0)
    return Estimate(value=mean, low=low, high=high, n=n, se=se)


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate:
    """Mean over the seeds that both have of (ours - theirs), with the t interval of the differences.

    Runs of one seed share initial weights and the division of the images, so that what a seed does to both cancels.
    """
    return mean_over_seeds([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])
