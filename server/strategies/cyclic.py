"""Cyclic weight transfer (Chang et al., JAMIA 2018): the model goes from site to site, trained a little at each.

Their order is fixed; here it is drawn anew in every round, so that no site is always the last.
"""

from collections.abc import Sequence

import numpy as np

from medfed.registry import plugin
from server.strategies.common import Common


@plugin
class Cyclic(Common):
    """One site after the other, each from the weights of the one before; nothing is averaged."""

    def stages(self, sites: Sequence[str], generator: np.random.Generator) -> list[list[str]]:
        """Stages of one site each, in an order drawn from the names sorted."""
        ordered = sorted(sites)
        return [[ordered[i]] for i in generator.permutation(len(ordered))]
