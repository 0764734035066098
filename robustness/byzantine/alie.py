"""A little is enough: as far from the mean as goes unseen (Baruch, Baruch and Goldberg, NeurIPS 2019, Algorithm 3).

    z = max { z : Phi(z) < (n - f - s) / (n - f) },  s = floor(n / 2 + 1) - f,   sent: mean - z * std

Phi is the standard normal distribution. s honest sites lie, in each coordinate, further from the mean than z standard
deviations, so that with them on its side the adversary has the majority in this coordinate: the median, and what is
near it, moves by up to z standard deviations. Mean and standard deviation are of the honest updates that are known.
"""

import math
from typing import ClassVar

import numpy as np
from scipy.stats import norm

from medfed.registry import plugin
from robustness.byzantine.base import Base
from robustness.byzantine.contract import Vector, View


def largest_unseen(num_sites: int, num_malicious: int) -> float:
    """The paper's z, in standard deviations; 0 where the formula gives less (a majority needs nobody's help).

    Args:
        num_sites: n.
        num_malicious: f, below n.
    """
    honest = num_sites - num_malicious
    supporters = math.floor(num_sites / 2 + 1) - num_malicious
    share = min(max((honest - supporters) / honest, 0.5), 1.0 - 1e-9)
    return float(norm.ppf(share))


@plugin
class ALIE(Base):
    """The mean of the known honest updates, moved by ``z`` standard deviations in every coordinate; all send the same.

    Attributes:
        z: in standard deviations; None: as the paper derives it from n and f.
    """

    colludes: ClassVar[bool] = True

    z: float | None = None

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """``mean - z std``, with the standard deviation of the population of known updates."""
        z = largest_unseen(view.num_sites, view.num_malicious) if self.z is None else self.z
        return view.known.mean(dim=0) - z * view.known.std(dim=0, correction=0)
