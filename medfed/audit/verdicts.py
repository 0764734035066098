"""The verdict rules: intervals decide, never point estimates. Pure functions.

A threshold is met only if the whole 95 % interval meets it, and missed only if the whole interval misses it; between
the two nothing is decided, and the rules say how many images would decide it if the share stayed as it is. A census, of
all there are, has no interval: its value stands for both ends.
"""

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

from scipy.special import betaincinv

Direction = Literal["at_least", "at_most"]
"""Which side of the threshold is good."""

CONFIDENCE = 0.95

_MOST = 10**7
"""More images than anybody will collect: beyond, no number is named."""


class Verdict(StrEnum):
    """What a finding, a section or a whole audit comes to, worst first; NOT_TESTED never counts."""

    ERROR = "ERROR"
    INVALID = "INVALID"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    PASS = "PASS"
    NOT_TESTED = "NOT_TESTED"


def judge(low: float | None, high: float | None, threshold: float, direction: Direction = "at_least") -> Verdict:
    """PASS if the interval's worse end meets ``threshold``, FAIL if its better end misses it, else INCONCLUSIVE.

    An end on the threshold meets it. Without an interval nothing is decided.
    """
    if low is None or high is None:
        return Verdict.INCONCLUSIVE
    if direction == "at_most":
        low, high, threshold = -high, -low, -threshold
    if low >= threshold:
        return Verdict.PASS
    return Verdict.FAIL if high < threshold else Verdict.INCONCLUSIVE


def section_verdict(findings: Iterable[Verdict], valid: bool, control_holds: bool) -> Verdict:
    """A section from its findings.

    Args:
        findings: the verdict on each threshold.
        valid: every check of the measurement held; if not, its figures mean nothing, whatever they are.
        control_holds: the positive control held, or there is none by the section's nature; if not, an attack that found
            nothing may have been too weak, so that a PASS is INCONCLUSIVE.
    """
    if not valid:
        return Verdict.INVALID
    found = worst(findings)
    return Verdict.INCONCLUSIVE if found is Verdict.PASS and not control_holds else found


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst; NOT_TESTED where nothing else is there."""
    order = list(Verdict)
    return min(verdicts, key=order.index, default=Verdict.NOT_TESTED)


def clopper_pearson(successes: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson 1934, Biometrika 26:404), as quantiles of beta distributions.

    Args:
        successes: 0 to ``n``; fractions are allowed, to interpolate between sample sizes.
        n: independent trials, above 0.
        confidence: coverage, at least.

    Raises:
        ValueError: ``successes`` is not within 0 and ``n``, or there are no trials.
    """
    if not 0 <= successes <= n or n <= 0:
        raise ValueError(f"expected 0 <= successes <= n and n > 0; got {successes} of {n}")
    tail = (1.0 - confidence) / 2.0
    low = float(betaincinv(successes, n - successes + 1, tail)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, n - successes, 1.0 - tail)) if successes < n else 1.0
    return low, high


def share_n_to_decide(share: float, threshold: float, direction: Direction = "at_least") -> int | None:
    """The least n at which the exact interval around the same ``share`` would decide; None where none up to 10^7 does.

    The interval shrinks as n grows, so the least n is found by halving.
    """

    def decided(n: int) -> bool:
        return judge(*clopper_pearson(share * n, n), threshold, direction) is not Verdict.INCONCLUSIVE

    if not decided(_MOST):
        return None
    low, high = 0, _MOST  # undecided at low (of no images), decided at high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high


def mean_n_to_decide(value: float, low: float, high: float, n: int, threshold: float) -> int | None:
    """About how many units would decide on a mean: the half-width towards the threshold shrinks as 1 / sqrt(n).

    None where ``value`` lies on the threshold, or more than 10^7 would be needed.
    """
    reach = (value - low) if value >= threshold else (high - value)
    distance = abs(value - threshold)
    if n * reach**2 > _MOST * distance**2 or distance == 0.0:
        return None
    return math.ceil(n * (reach / distance) ** 2)
