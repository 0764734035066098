"""Inner product manipulation (Xie, Koyejo and Gupta, "Fall of empires", UAI 2019, PMLR 115:261-270, 2020).

    sent: - scale * mean of the known honest updates

so that the inner product of the aggregate and the true mean becomes negative. Two regimes: a ``scale`` below 1 stays
near the honest updates, and fools rules on distances (Krum, median) where honest updates vary more than that; the mean
turns around once it exceeds (n - f) / f.
"""

from typing import ClassVar

import numpy as np

from medfed.registry import plugin
from robustness.byzantine.base import Base
from robustness.byzantine.contract import Vector, View
from robustness.byzantine.fields import Factor


@plugin
class IPM(Base):
    """Minus ``scale`` times the mean of the known honest updates; all send the same.

    Attributes:
        scale: epsilon of the paper, which tries 0.5 and less against Krum and the median.
    """

    colludes: ClassVar[bool] = True

    scale: Factor = 0.5

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """``-scale mean``."""
        return -self.scale * view.known.mean(dim=0)
