"""What a search makes small: a distance between changes of weights, and priors on the images, each with its weight."""

from dataclasses import dataclass
from typing import Literal

DistanceName = Literal["cosine", "squared"]
"""``cosine``: 1 - <a, b> / (|a| |b|) over all entries at once (Geiping et al. 2020, eq. 4); ``squared``: |a - b|^2 /
|b|^2, relative to what was seen (Zhu et al. 2019, eq. 4)."""


@dataclass(frozen=True)
class Terms:
    """One objective: distance + the weighted sum of the priors.

    Attributes:
        distance: how changes are compared.
        mask_zeros: leave out entries that are exactly zero in what was seen (an update that was pruned).
        total_variation: weight of the mean absolute difference of neighbouring pixels (Geiping et al. 2020).
        batch_norm: weight of the mismatch of BatchNorm statistics (Yin et al. 2021, eq. 8).
        group: weight of the distance of restarts from their mean (Yin et al. 2021, eq. 10).
        passes: weight of the mismatch between passes over the same images (Dimitrov et al. 2022, section 4.3).
    """

    distance: DistanceName = "cosine"
    mask_zeros: bool = False
    total_variation: float = 0.0
    batch_norm: float = 0.0
    group: float = 0.0
    passes: float = 0.0
