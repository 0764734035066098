"""Which of a few numbers stand out, at a stated rate of false alarms.

    z_i = (x_i - median(x)) / (1.4826 median |x - median(x)|)

The median and the median absolute deviation keep their meaning with nearly half of the numbers malicious (Hampel, JASA
1974); 1.4826 makes the deviation that of a normal distribution. From 20 numbers it is known within about 20 %, so z has
heavier tails than a normal variable: its quantiles are simulated, for the number of sites at hand.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_CONSISTENT = 1.4826  # 1 / Phi^-1(3/4)
_DRAWS = 400_000  # numbers in all: a quantile of 0.99 is then known within about 2 %
_SEED = 20240607  # of the simulation; any


def robust_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``z_i`` along the last axis; where more than half are equal, the others score plus or minus infinity.

    An infinite value scores as infinite; it must not be that of half of the sites.
    """
    centred = values - np.median(values, axis=-1, keepdims=True)
    deviation = _CONSISTENT * np.median(np.abs(centred), axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = centred / deviation
    scores[np.isnan(scores)] = 0.0
    return np.asarray(scores)


@lru_cache(maxsize=64)
def threshold(num_sites: int, false_alarms: float) -> float:
    """What ``z`` of one of ``num_sites`` honest sites exceeds with probability ``false_alarms``, by simulation.

    One-sided: for a rule that looks at both sides, give half of its rate.
    """
    draws = np.random.default_rng(_SEED).standard_normal((max(1, _DRAWS // num_sites), num_sites))
    return float(np.quantile(np.abs(robust_scores(draws)), 1.0 - 2.0 * false_alarms))


def over_rounds(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Site -> the mean over its rounds of its value above the round's median: a round counts whatever its scale.

    Args:
        values: by round, then by site; a site may be missing in some.

    Raises:
        ValueError: there is no round.
    """
    if not values:
        raise ValueError("nobody can be told apart without a round")
    found: dict[str, list[float]] = defaultdict(list)
    for of_round in values:
        middle = float(np.median(list(of_round.values())))
        for site, value in of_round.items():
            found[site].append(value - middle)
    return {site: float(np.mean(above)) for site, above in sorted(found.items())}


def scored(values: Mapping[str, float]) -> dict[str, float]:
    """:func:`robust_scores` by site."""
    scores = robust_scores(np.array(list(values.values()), dtype=np.float64))
    return dict(zip(values, scores.tolist(), strict=True))
