"""What a Gaussian mechanism would have to be to give these scores: sharper than the one-run bound, on an assumption.

Scores of included canaries are N(a + mu s, s^2), of others N(a, s^2). The difference of their means, in pooled standard
deviations, has a noncentral t distribution, from which mu has an exact interval; mu is the parameter of Gaussian
differential privacy (Dong, Roth and Su, arXiv:1905.02383), which fixes epsilon at every delta. Nothing here proves
anything about a mechanism that is not Gaussian.
"""

import math
from typing import NamedTuple

from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.optimize import brentq
from scipy.stats import nct

from medfed.audit.verdicts import CONFIDENCE
from privacy.gaussian import gaussian_epsilon

_LEAST_MU = 1e-9


class GaussianFit(NamedTuple):
    """Epsilon of the fitted mechanism, and the lower end of its one-sided interval."""

    epsilon: float
    low: float
    mu: float


def fit_gaussian(
    scores: Float64[ndarray, " canary"],
    included: Bool[ndarray, " canary"],
    delta: float,
    confidence: float = CONFIDENCE,
) -> GaussianFit:
    """Fit a Gaussian mechanism to the scores of canaries.

    Args:
        scores: larger for canaries that were included; not all the same.
        included: which were; two or more of each kind.
        delta: at which epsilon is stated.
        confidence: that the true epsilon is not below ``low``.

    Raises:
        ValueError: there are too few canaries of a kind.
    """
    inside, outside = scores[included], scores[~included]
    if min(len(inside), len(outside)) < 2:
        raise ValueError("expected two or more canaries that were included, and two or more that were not")
    freedom = len(scores) - 2
    squares = inside.var() * len(inside) + outside.var() * len(outside)
    mu = float((inside.mean() - outside.mean()) / math.sqrt(squares / freedom))
    scale = math.sqrt(len(inside) * len(outside) / len(scores))
    low = _lower_end(mu * scale, freedom, confidence) / scale
    epsilon, least = (gaussian_epsilon(max(value, _LEAST_MU), delta) for value in (mu, low))
    return GaussianFit(epsilon, least, mu)


def _lower_end(statistic: float, freedom: int, confidence: float) -> float:
    """The noncentrality at which ``statistic`` or more has a probability of 1 - confidence; at least 0."""

    def excess(noncentrality: float) -> float:
        return float(nct.sf(statistic, freedom, noncentrality)) - (1.0 - confidence)

    if statistic <= 0.0 or excess(0.0) >= 0.0:
        return 0.0
    return float(brentq(excess, 0.0, statistic + 10.0))
