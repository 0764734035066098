"""A lower bound on epsilon from one run with many canaries (Steinke, Nasr and Jagielski, NeurIPS 2023, Theorem 5.2).

Each of m canaries is included by a coin. The auditor guesses, for the r canaries of the most extreme scores, whether it
was. If the mechanism is (epsilon, delta)-differentially private, the number of right guesses is hardly larger than a
binomial of probability q = e^epsilon / (1 + e^epsilon):

    P(right >= v) <= beta + 2 m delta max_{1 <= i <= v} (P(B >= v - i) - beta) / i,   B ~ Bin(r, q),  beta = P(B >= v)

Even if all guesses are right, no more than about ln(m / 3) can be shown: a larger claim cannot be refuted in this way.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.optimize import brentq
from scipy.stats import binom

from medfed.audit.verdicts import CONFIDENCE

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
"""Of the canaries, guessed to be included, and as many not: fixed before any score is seen."""

_MOST = 50.0
"""Beyond, an epsilon is as good as none."""


class OneRun(NamedTuple):
    """What one run shows.

    Attributes:
        epsilon: lower bound; 0 where nothing is shown.
        guesses: r, of the share that shows most.
        right: of them.
        largest: what could be shown at most with so many canaries.
    """

    epsilon: float
    guesses: int
    right: int
    largest: float

    def can_refute(self, claim: float) -> bool:
        """Whether any outcome of this audit could refute ``claim``."""
        return claim < self.largest


def p_value(num_canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """How probable so many right guesses are at most, if the mechanism is (epsilon, delta)-private."""
    q = 1.0 / (1.0 + math.exp(-epsilon))
    beta = float(binom.sf(right - 1, guesses, q))
    if delta == 0.0 or right == 0:
        return beta
    steps = np.arange(1, right + 1)
    excess = (binom.sf(right - steps - 1, guesses, q) - beta) / steps
    return min(1.0, beta + 2.0 * num_canaries * delta * max(0.0, float(excess.max())))


def lower_bound(num_canaries: int, guesses: int, right: int, delta: float, confidence: float = CONFIDENCE) -> float:
    """The largest epsilon that so many right guesses refute; 0 where they refute none."""

    def excess(epsilon: float) -> float:
        return p_value(num_canaries, guesses, right, epsilon, delta) - (1.0 - confidence)

    if excess(0.0) >= 0.0:
        return 0.0
    return float(brentq(excess, 0.0, _MOST, xtol=1e-6)) if excess(_MOST) > 0.0 else _MOST


def largest_epsilon(num_canaries: int, confidence: float = CONFIDENCE) -> float:
    """What is shown if every guess on ``num_canaries`` is right and delta is 0: q^m = 1 - confidence, about ln(m/3)."""
    q = (1.0 - confidence) ** (1.0 / num_canaries)
    return max(0.0, math.log(q) - math.log1p(-q))


def audit_one_run(
    scores: Float64[ndarray, " canary"],
    included: Bool[ndarray, " canary"],
    delta: float,
    confidence: float = CONFIDENCE,
    shares: Sequence[float] = SHARES,
) -> OneRun:
    """The best bound over several numbers of guesses, at a joint confidence (Bonferroni).

    Args:
        scores: larger for canaries that were included.
        included: by independent fair coins.
        delta: of the claim.
        confidence: that epsilon is not below the bound.
        shares: of the canaries guessed to be included; as many are guessed not to be.

    Raises:
        ValueError: there are fewer than two canaries, or numbers differ.
    """
    m = len(scores)
    if m < 2 or len(included) != m:
        raise ValueError(f"expected two canaries or more, each with a score; got {m} and {len(included)}")
    order, each = np.argsort(scores, kind="stable"), 1.0 - (1.0 - confidence) / len(shares)
    best = OneRun(0.0, 0, 0, largest_epsilon(m, each))
    for number in sorted({max(1, int(m * share)) for share in shares}):
        right = int(included[order[-number:]].sum() + (~included[order[:number]]).sum())
        found = lower_bound(m, 2 * number, right, delta, each)
        if found > best.epsilon or not best.guesses:
            best = best._replace(epsilon=found, guesses=2 * number, right=right)
    return best
