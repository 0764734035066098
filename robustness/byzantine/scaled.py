"""A scaled update: the right direction, and far too long."""

import numpy as np

from medfed.registry import plugin
from robustness.byzantine.base import Base
from robustness.byzantine.contract import Vector, View
from robustness.byzantine.fields import Factor


@plugin
class Scaled(Base):
    """``scale`` times the site's honest update, as from a site with a learning rate that is wrong by that factor.

    Attributes:
        scale: length of what is sent, in lengths of the honest update.
    """

    scale: Factor = 100.0

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """``scale x``."""
        return self.scale * view.own
