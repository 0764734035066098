"""Epsilon from Renyi divergences, by Opacus: quick and loose, 5 to 10 % above the others as a rule.

The divergence of order a of a sampled Gaussian query is that of Mironov, Talwar and Zhang (arXiv:1908.10530, section
3.3); those of a composition add up, and become epsilon by Balle et al. (arXiv:1905.09982, Theorem 21), at the best
order of a grid.
"""

import warnings

from medfed.registry import plugin
from privacy.accountants.contract import Composition, checked, require_add_remove

ORDERS = (*(1.0 + step / 10.0 for step in range(1, 100)), *range(12, 64), 64, 80, 96, 128, 192, 256, 384, 512)
"""Those of Opacus, and larger ones, which are the best for small epsilons; binomials of 1030 would overflow."""


@plugin
class Rdp:
    """Renyi differential privacy: an upper bound that most published figures are stated in."""

    def __call__(self, composition: Composition, delta: float) -> float:
        """Epsilon, see :class:`privacy.accountants.contract.Accountant`."""
        from opacus.accountants.analysis import rdp

        require_add_remove(checked(composition, delta), "Renyi differential privacy")
        if not composition.steps:
            return 0.0
        divergence = sum(
            rdp.compute_rdp(q=kind.sampling_rate, noise_multiplier=kind.noise_multiplier, steps=1, orders=ORDERS)
            * kind.number
            for kind in composition.steps
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the best order is the last: still a bound
            epsilon, _ = rdp.get_privacy_spent(orders=ORDERS, rdp=divergence, delta=delta)
        return max(0.0, float(epsilon))
