"""What Gaussian noise costs: (epsilon, delta) of one release and of many, exactly.

A query of sensitivity S that is released with noise N(0, sigma^2) in every coordinate is mu-Gaussian differentially
private with mu = S / sigma (Dong, Roth and Su, "Gaussian Differential Privacy", arXiv:1905.02383, Theorem 2.7), and

    delta(epsilon) = Phi(mu / 2 - epsilon / mu) - exp(epsilon) Phi(-mu / 2 - epsilon / mu)

is the smallest delta for which it is (epsilon, delta)-differentially private (Balle and Wang, ICML 2018, Theorem 8).
Releases, each chosen in view of those before, compose to mu = sqrt(sum mu_t^2), again exactly (Dong, Roth and Su,
Corollary 3.3). Nothing here is for sampled records or sites, whose noise costs less than these formulas say.

The floating-point numbers of a computer are taken for real ones: that their low bits may betray a value (Mironov,
CCS 2012) is not accounted for.
"""

import math
from collections.abc import Iterable

from scipy.optimize import brentq
from scipy.special import log_ndtr

_RELATIVE = 1e-12  # of the roots


def log_delta(epsilon: float, mu: float) -> float:
    """Natural logarithm of delta, see above; it neither overflows nor cancels where epsilon is large.

    Args:
        epsilon: at least 0.
        mu: sensitivity / standard deviation of the noise, above 0.
    """
    first = float(log_ndtr(mu / 2.0 - epsilon / mu))
    ratio = epsilon + float(log_ndtr(-mu / 2.0 - epsilon / mu)) - first
    return first + math.log(-math.expm1(ratio)) if ratio < 0.0 else -math.inf


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The smallest epsilon of a release with this ``mu``.

    Args:
        mu: sensitivity / standard deviation of the noise, at least 0; 0 is no release.
        delta: above 0, below 1.

    Raises:
        ValueError: an argument is out of range.
    """
    _check(mu >= 0.0 and math.isfinite(mu), f"mu must be finite and at least 0, got {mu}")
    check_delta(delta)
    target = math.log(delta)
    if mu == 0.0 or log_delta(0.0, mu) <= target:
        return 0.0
    # Above the root: epsilon = rho + 2 sqrt(rho ln(1 / delta)), rho = mu^2 / 2 (Bun and Steinke, TCC 2016, Prop. 1.3).
    high = mu * mu / 2.0 + mu * math.sqrt(-2.0 * target)
    return float(brentq(lambda epsilon: log_delta(epsilon, mu) - target, 0.0, high, rtol=_RELATIVE))


def gaussian_mu(epsilon: float, delta: float) -> float:
    """The largest mu whose epsilon is at most this one: the inverse of :func:`gaussian_epsilon`.

    Args:
        epsilon: above 0.
        delta: above 0, below 1.

    Raises:
        ValueError: an argument is out of range.
    """
    _check(epsilon > 0.0 and math.isfinite(epsilon), f"epsilon must be finite and above 0, got {epsilon}")
    check_delta(delta)
    target = math.log(delta)
    low = high = 1.0
    while log_delta(epsilon, low) > target:
        low /= 2.0
    while log_delta(epsilon, high) < target:
        high *= 2.0
    return low if low == high else float(brentq(lambda mu: log_delta(epsilon, mu) - target, low, high, rtol=_RELATIVE))


def composed_mu(noise_multipliers: Iterable[float]) -> float:
    """Mu of all releases together; a noise multiplier is the standard deviation of the noise / sensitivity."""
    return math.sqrt(sum(multiplier**-2 for multiplier in noise_multipliers))


def noise_multiplier(epsilon: float, delta: float, num_releases: int) -> float:
    """The noise multiplier with which so many releases together cost ``epsilon`` at ``delta``."""
    return math.sqrt(num_releases) / gaussian_mu(epsilon, delta)


def check_delta(delta: float) -> None:
    """Raise ``ValueError`` where ``delta`` is not above 0 and below 1."""
    _check(0.0 < delta < 1.0, f"delta must be above 0 and below 1, got {delta}")


def _check(holds: bool, fault: str) -> None:
    if not holds:
        raise ValueError(fault)
