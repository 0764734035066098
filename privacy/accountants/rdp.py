"""Epsilon from Renyi divergences, by Opacus: quick and loose, 5 to 10 % above the others as a rule.

The divergence of order a of a sampled Gaussian query is that of Mironov, Talwar and Zhang (arXiv:1908.10530, section
3.3); those of a composition add up, and become epsilon by Balle et al. (arXiv:1905.09982, Theorem 21), at the best
order of a grid. Where neighbours replace a sampled unit, exp((a - 1) divergence) is jointly convex, so that it is at
most that of a coin: 1 - q + q exp(a (a - 1) / (2 z^2)), z of the distance between the unit's two contributions. That is
far from tight, and is for histories that hold noise on integers, too, which nothing else here accounts for.
"""

import math
import warnings

import numpy as np
from jaxtyping import Float64

from medfed.registry import plugin
from privacy.accountants.contract import Composition, Steps, checked

ORDERS = (*(1.0 + step / 10.0 for step in range(1, 100)), *range(12, 64), 64, 80, 96, 128, 192, 256, 384, 512)
"""Those of Opacus, and larger ones, which are the best for small epsilons; binomials of 1030 would overflow."""


@plugin
class Rdp:
    """Renyi differential privacy: an upper bound that most published figures are stated in."""

    def __call__(self, composition: Composition, delta: float) -> float:
        """Epsilon, see :class:`privacy.accountants.contract.Accountant`."""
        from opacus.accountants.analysis import rdp

        if not checked(composition, delta).steps:
            return 0.0
        divergence = sum(_divergence(kind, composition.replace) * kind.number for kind in composition.steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the best order is the last: still a bound
            epsilon, _ = rdp.get_privacy_spent(orders=ORDERS, rdp=divergence, delta=delta)
        return max(0.0, float(epsilon))


def _divergence(kind: Steps, replace: bool) -> Float64[np.ndarray, " order"]:
    """Of one query, at every order."""
    from opacus.accountants.analysis import rdp

    multiplier, rate = kind.noise_multiplier, kind.sampling_rate
    if not replace or rate == 1.0:
        return np.asarray(rdp.compute_rdp(q=rate, noise_multiplier=multiplier, steps=1, orders=ORDERS))
    orders = np.array(ORDERS)
    drawn = math.log(rate) + orders * (orders - 1.0) / (2.0 * multiplier**2)
    return np.asarray(np.logaddexp(math.log1p(-rate), drawn) / (orders - 1.0))
