"""Intervals that decide on few images: none shrinks to a point where the model is right on every one. Pure functions.

A percentile bootstrap draws from what was seen, so that a figure of 1 has the interval 1 to 1 whatever n is, and of few
images every interval is too narrow. ``n`` below counts independent units and need not be whole (:func:`effective`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import NormalDist

from scipy.special import stdtrit

from medfed.audit.verdicts import CONFIDENCE, clopper_pearson
from medfed.results import Estimate

Ends = tuple[float, float]

_HALVINGS = 40
"""To 1e-12."""


def effective(patients: Iterable[str]) -> float:
    """How many independent images the images of these patients are worth at least: (sum m)^2 / sum m^2.

    Kish 1965, Survey Sampling, section 11.7, for images that say all the same within a patient; of one image per
    patient it is their number.
    """
    counts = Counter(patients).values()
    return sum(counts) ** 2 / sum(count**2 for count in counts) if counts else 0.0


def simultaneous(number: int, confidence: float = CONFIDENCE) -> float:
    """What each of ``number`` independent intervals must cover so that all together do (Sidak 1967, JASA 62:626).

    The worst of several sites is bad by chance alone more often than one site is: of 20 sites that just meet a
    threshold, 95 % intervals would fail one or more in two audits of five.
    """
    return float(confidence ** (1.0 / max(1, number)))


def share_ends(share: float, n: float, confidence: float) -> Ends:
    """Of a share of ``n`` units: exact (Clopper and Pearson 1934)."""
    return clopper_pearson(share * n, n, confidence)


def auroc_ends(auroc: float, positives: float, negatives: float, confidence: float) -> Ends:
    """Of an AUROC: those theta with (auroc - theta)^2 <= z^2 V(theta), within [0, 1].

    V is that of Hanley and McNeil (1982, Radiology 143:29), made symmetric; Newcombe 2006, Statistics in Medicine
    25:559, method 5. With m positives, n negatives and N = (m + n) / 2 - 1::

        V(theta) = theta (1 - theta) (1 + N (1 - theta) / (2 - theta) + N theta / (1 + theta)) / (m n)
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    half, ends = (positives + negatives) / 2.0 - 1.0, []
    for outside in (0.0, 1.0):
        inside = auroc
        for _ in range(_HALVINGS):
            theta = (inside + outside) / 2.0
            spread = 1.0 + half * ((1.0 - theta) / (2.0 - theta) + theta / (1.0 + theta))
            holds = (auroc - theta) ** 2 <= z**2 * theta * (1.0 - theta) * spread / (positives * negatives)
            inside, outside = (theta, outside) if holds else (inside, theta)
        ends.append(inside)
    return ends[0], ends[1]


def mean_ends(mean: float, se: float, n: float, confidence: float) -> Ends:
    """Of a mean of ``n`` > 1 values in [0, 1], from its bootstrap's standard error: Student's.

    A bootstrap's se is that of the mean times sqrt((n - 1) / n) (Efron and Tibshirani 1993, section 5.3). Where all
    values are one, it is 0; then the mean is no further off than others may be hidden: a share of 0 of ``n``.
    """
    if se == 0.0:
        hidden = clopper_pearson(0.0, n, confidence)[1]
        return mean * (1.0 - hidden), mean + (1.0 - mean) * hidden
    reach = float(stdtrit(n - 1.0, 0.5 + confidence / 2.0)) * se * math.sqrt(n / (n - 1.0))
    return max(0.0, mean - reach), min(1.0, mean + reach)


def combined(parts: Sequence[tuple[float, Estimate]], n: int, *, independent: bool = True) -> Estimate:
    """The sum of weight times figure, from the figures' intervals; without one where one of them has none.

    Of independent figures the distances from value to end add in squares (Zou and Donner 2008, Statistics in Medicine
    27:1693, "MOVER"); of others they add up, which holds for any dependence between them.

    Args:
        parts: weight, of either sign, and figure.
        n: units of the result.
        independent: whether the figures are.
    """
    values = [weight * part.value for weight, part in parts if part.value is not None]
    if not parts or len(values) < len(parts):
        return Estimate(value=None, low=None, high=None, n=n)
    value = math.fsum(values)
    ends = [(w * part.low, w * part.high) for w, part in parts if part.low is not None and part.high is not None]
    if len(ends) < len(parts):
        return Estimate(value=value, low=None, high=None, n=n)
    below = [middle - min(pair) for middle, pair in zip(values, ends, strict=True)]
    above = [max(pair) - middle for middle, pair in zip(values, ends, strict=True)]
    down, up = (math.hypot(*side) if independent else math.fsum(side) for side in (below, above))
    return Estimate(value=value, low=value - down, high=value + up, n=n)


def mean_of(parts: Sequence[Estimate], *, independent: bool = True) -> Estimate:
    """The mean of figures with its interval, as in :func:`combined`; n is the sum."""
    weighted = [(1.0 / len(parts), part) for part in parts]
    return combined(weighted, sum(part.n for part in parts), independent=independent)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """First minus second, of independent units; n is that of the second."""
    return combined([(1.0, first), (-1.0, second)], second.n)
