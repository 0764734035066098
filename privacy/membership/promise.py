"""What differential privacy promises against attacks on membership.

If a model is (epsilon, delta)-differentially private for the presence of one image, then for every attack

    TPR <= min(e^epsilon FPR + delta, 1 - e^-epsilon (1 - delta - FPR))

(Kairouz, Oh and Viswanath, ICML 2015, Theorem 2.1). A promise for records holds for images; one for patients or sites
holds where the unit keeps its other images, which is the replace relation.
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
    """Of those that hold for the presence of one image, the one with the smallest epsilon."""
    fit = [g for g in guarantees if g.unit == "record" or g.relation == "replace"]
    return min(fit, key=lambda g: g.epsilon, default=None)
