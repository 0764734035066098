"""Gaussian noise in the place of an update (Blanchard et al., "Byzantine-tolerant machine learning", NeurIPS 2017)."""

import numpy as np
import torch

from medfed.registry import plugin
from robustness.byzantine.base import Base
from robustness.byzantine.contract import Vector, View
from robustness.byzantine.fields import Factor


def noise(length: int, generator: np.random.Generator) -> Vector:
    """``length`` independent draws of N(0, 1), float32."""
    return torch.from_numpy(generator.standard_normal(length, dtype=np.float32))


@plugin
class Gaussian(Base):
    """Independent draws of N(0, ``std`` squared), other ones at every site and in every round.

    Attributes:
        std: standard deviation of every value, in the unit of the weights. The paper takes 200; a weight is about 0.1.
    """

    std: Factor = 1.0

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """Noise alone: the site's update plays no part."""
        return self.std * noise(len(view.own), generator)
