"""What differential privacy promises against attacks on membership.

If (epsilon, delta)-differential privacy covers whether one image or another in its place was trained on, then for every
attack

    TPR <= min(e^epsilon FPR + delta, 1 - e^-epsilon (1 - delta - FPR))

(Kairouz, Oh and Viswanath, ICML 2015, Theorem 2.1). What holds for an image is the replace relation, whatever the unit:
sites tell how many images they have, so that one more or less is no secret, and a patient or a site whose one image is
at stake keeps the others.
"""

import math
from collections.abc import Iterable

from medfed.results import Guarantee


def largest_tpr(epsilon: float, delta: float, fpr: float) -> float:
    """The largest true positive rate that (``epsilon``, ``delta``) allows at a false positive rate; at most 1.

    Args:
        epsilon: at least 0.
        delta: in [0, 1].
        fpr: in [0, 1].
    """
    few = math.exp(min(epsilon, 700.0)) * fpr + delta
    many = 1.0 - math.exp(-epsilon) * (1.0 - delta - fpr)
    return min(1.0, few, many)


def for_images(guarantees: Iterable[Guarantee]) -> Guarantee | None:
    """Of those that hold for one image, which are those of the replace relation, the one with the smallest epsilon."""
    return min((g for g in guarantees if g.relation == "replace"), key=lambda g: g.epsilon, default=None)
