"""Sign flip: the step in the opposite direction (Li et al., "RSA", AAAI 2019, sign-flipping attack)."""

import numpy as np

from medfed.registry import plugin
from robustness.byzantine.base import Base
from robustness.byzantine.contract import Vector, View
from robustness.byzantine.fields import Factor


@plugin
class SignFlip(Base):
    """Minus ``scale`` times the site's honest update.

    The mean of n updates of which f are flipped goes backwards once ``scale`` exceeds (n - f) / f, e.g. 4 for 4 of 20.

    Attributes:
        scale: length of what is sent, in lengths of the honest update.
    """

    scale: Factor = 5.0

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """``-scale x``."""
        return -self.scale * view.own
