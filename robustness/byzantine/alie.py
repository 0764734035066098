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
from medfed.types import Task
from robustness.byzantine.base import Base
from robustness.byzantine.contract import Cast, Vector, View, alone


def largest_unseen(num_sites: int, num_malicious: int) -> float:
    """The paper's z, in standard deviations; not above 0 where so few cannot have a majority of a side.

    Args:
        num_sites: n.
        num_malicious: f, fewer than n / 2.

    Raises:
        ValueError: f is n / 2 or more: the formula would have no bound.
    """
    if 2 * num_malicious >= num_sites:
        raise ValueError(f"expected fewer than half of {num_sites} sites, got {num_malicious}")
    honest = num_sites - num_malicious
    supporters = math.floor(num_sites / 2 + 1) - num_malicious
    return float(norm.ppf((honest - supporters) / honest))


@plugin
class ALIE(Base):
    """The mean of the known honest updates, moved by ``z`` standard deviations in every coordinate; all send the same.

    Attributes:
        z: in standard deviations; None: as the paper derives it from n and f.
    """

    colludes: ClassVar[bool] = True

    z: float | None = None

    def misfit(self, task: Task, cast: Cast) -> str:
        """The paper's z is above 0 for some numbers of malicious sites only; one known update has no spread."""
        few = f"{cast.num_malicious} of {cast.num_sites} sites"
        if self.z is None and 2 * cast.num_malicious >= cast.num_sites:
            return f"the paper's z is for fewer than half of the sites, got {few}; set z"
        if self.z is None and largest_unseen(cast.num_sites, cast.num_malicious) <= 0.0:
            return f"the paper's z is not above 0 for {few}, so that nothing would be attacked; set z"
        return alone("alie", cast)

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """``mean - z std``, with the standard deviation of the population of known updates."""
        z = largest_unseen(view.num_sites, view.num_malicious) if self.z is None else self.z
        return view.known.mean(dim=0) - z * view.known.std(dim=0, correction=0)
