"""True positives at few false positives: how many members an attack names while it accuses hardly anyone else.

An attack gives every image a score; it names the images above a threshold. A hospital is harmed by those that are named
with certainty, so that what counts is the share of members named at a false positive rate of 1 % or 0.1 %, never an
average over all rates (Carlini et al., IEEE S&P 2022, section III).
"""

import math

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.stats import binom, hypergeom

from medfed.audit.verdicts import CONFIDENCE, clopper_pearson
from medfed.results import Estimate

Members = Float64[ndarray, " member"]
Others = Float64[ndarray, " other"]

_ROUNDING = 1e-9
"""0.01 x 300 is 3, whatever the floating-point product says."""


def enough(num_non_members: int, fpr: float) -> bool:
    """Whether one false positive is within ``fpr``: with fewer images, the rate stands for zero of them."""
    return num_non_members * fpr >= 1.0 - _ROUNDING


def tpr_at(members: Members, non_members: Others, fpr: float) -> float:
    """The share of members above the lowest threshold that at most a share ``fpr`` of non-members exceeds.

    Args:
        members: scores, larger the likelier a member; at least one.
        non_members: the same of images that were not trained on.
        fpr: in (0, 1).

    Raises:
        ValueError: an argument is out of range, or a score is not a number.
    """
    members, non_members = _checked(members, non_members, fpr)
    return float((members > threshold_at(non_members, fpr)).mean())


def threshold_at(non_members: Others, fpr: float) -> float:
    """The lowest threshold that at most a share ``fpr`` of ``non_members`` exceeds."""
    return _exceeded_by(non_members, _allowed(len(non_members), fpr))


def beyond_luck(num_members: int, num_non_members: int, fpr: float, error: float) -> float:
    """The least share that :func:`tpr_at` reaches with a probability of at most ``error`` by scores that say nothing.

    Then all orders of the scores are equally likely. At least x members stand before the (k + 1)-th non-member, k being
    how many may be accused, if and only if at most k of the first x + k are non-members, whose number is
    hypergeometric. Ties make it less likely.

    Args:
        num_members: at least 1.
        num_non_members: at least 1.
        fpr: in (0, 1).
        error: in (0, 1).

    Returns:
        The share; above 1 where even all members may be named by luck.
    """
    allowed, named = _allowed(num_non_members, fpr), np.arange(num_members + 1)
    chance = hypergeom.cdf(allowed, num_members + num_non_members, num_non_members, named + allowed)
    return float((chance > error).sum() / num_members)


def tpr_estimate(members: Members, non_members: Others, fpr: float, confidence: float = CONFIDENCE) -> Estimate:
    """:func:`tpr_at` with an exact interval for the share at the threshold whose *true* rate is ``fpr``.

    Where that threshold lies is not known: it is enclosed between order statistics of the non-members, of which the
    (k + 1)-th largest is exceeded at a rate Beta(k + 1, n - k), whatever the scores' distribution. The interval goes
    from the lower end (Clopper and Pearson) of the share above the upper of the two to the upper end of the share above
    the lower. The four errors share ``1 - confidence``, so that it covers at least so often.

    Args:
        members: scores of independent images, larger the likelier a member; at least one.
        non_members: the same of images that were not trained on.
        fpr: in (0, 1).
        confidence: coverage, at least.

    Returns:
        The estimate, whose n counts members; value, low and high are None where there are too few non-members for
        ``fpr`` (:func:`enough`).

    Raises:
        ValueError: an argument is out of range, or a score is not a number.
    """
    members, non_members = _checked(members, non_members, fpr)
    if not enough(len(non_members), fpr):
        return Estimate(value=None, low=None, high=None, n=len(members))
    error, n = (1.0 - confidence) / 4.0, len(non_members)
    most = int(binom.ppf(error, n, fpr)) - 1  # so many exceed it: its true rate is at most fpr but for the error
    least = int(binom.isf(error, n, fpr))  # and of this one, at least
    sure = int((members > _exceeded_by(non_members, most)).sum()) if most >= 0 else 0
    possible = int((members >= _exceeded_by(non_members, least)).sum()) if least < n else len(members)
    each = 1.0 - 2.0 * error
    low, high = clopper_pearson(sure, len(members), each)[0], clopper_pearson(possible, len(members), each)[1]
    return Estimate(value=tpr_at(members, non_members, fpr), low=low, high=high, n=len(members))


def _allowed(num_non_members: int, fpr: float) -> int:
    """How many non-members may be accused."""
    return math.floor(fpr * num_non_members + _ROUNDING)


def _exceeded_by(scores: Others, number: int) -> float:
    """The score that at most ``number`` others exceed: the (number + 1)-th largest."""
    return float(np.partition(scores, len(scores) - 1 - number)[len(scores) - 1 - number])


def _checked(members: Members, non_members: Others, fpr: float) -> tuple[Members, Others]:
    if not 0.0 < fpr < 1.0:
        raise ValueError(f"the false positive rate must be above 0 and below 1, got {fpr}")
    found = np.asarray(members, dtype=np.float64), np.asarray(non_members, dtype=np.float64)
    for name, scores in zip(("members", "non-members"), found, strict=True):
        if not len(scores) or np.isnan(scores).any():
            raise ValueError(f"scores of {name}: expected at least one, and numbers only")
    return found
