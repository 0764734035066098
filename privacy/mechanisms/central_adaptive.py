"""Central noise whose bound follows a quantile of the updates' norms (Andrew et al., NeurIPS 2021, Algorithm 1).

    b = 1/2 + (sum_k (1[norm of x_k <= C] - 1/2) + N(0, sigma_b^2)) / m,     C <- C exp(-rate (b - quantile))

m is how many sites are asked, whoever answers. The sum in b has sensitivity 1/2, and is released beside the mean. Both
together cost what one release with noise multiplier z would: the mean's own is (z^-2 - (2 sigma_b)^-2)^(-1/2).
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from medfed.registry import plugin
from medfed.types import Weights
from privacy.clipping import adapted_bound, split_multiplier
from privacy.mechanisms.central import noised_mean
from privacy.mechanisms.contract import ClippedSum
from privacy.mechanisms.fields import Multiplier, Positive
from privacy.noise import Normal
from privacy.release import Release

_BOUND = "bound"


@plugin
class CentralAdaptive:
    """As ``central``, with a bound that moves towards a quantile of the updates' norms, which is released too.

    Attributes:
        clip: C in round 1.
        noise_multiplier: z of mean and count together.
        quantile: share of updates that should not be clipped.
        rate: how fast C moves.
        count_noise: sigma_b / z, standard deviation of the noise on the number of updates within C, in noise
            multipliers; 5 makes the mean's noise 0.5 % larger.
    """

    trusted: ClassVar[str] = "the server, with every site's updates"

    clip: Positive
    noise_multiplier: Multiplier
    quantile: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    rate: Annotated[float, Field(gt=0.0, le=10.0, allow_inf_nan=False)] = 0.2
    count_noise: Annotated[float, Field(gt=0.5, allow_inf_nan=False)] = 5.0

    @property
    def sum_multiplier(self) -> float:
        """The noise multiplier of the mean alone."""
        return split_multiplier(self.noise_multiplier, self._count_multiplier)

    @property
    def _count_multiplier(self) -> float:
        return self.count_noise * self.noise_multiplier

    def bound(self, state: Weights) -> float:
        """What the last round left."""
        return float(state[_BOUND]) if state else self.clip

    def noisy_mean(self, clipped: ClippedSum, state: Weights, normal: Normal) -> tuple[Weights, Weights]:
        """The mean plus noise; the state is the next bound."""
        bound = self.bound(state)
        noised = noised_mean(clipped, bound, self.sum_multiplier, normal)
        centred = (clipped.num_within - clipped.num_clipped) / 2.0 + self._count_multiplier * float(normal(1)[0])
        share = 0.5 + centred / clipped.expected_sites
        following = adapted_bound(bound, share, self.quantile, self.rate)
        return noised, {_BOUND: torch.tensor(following, dtype=torch.float64)}

    def release(self, round_number: int, largest_share: float) -> Release | None:
        """Mean and count, as one query whose parts are scaled to their noise."""
        sensitivity = self.clip * largest_share
        return Release("gaussian", sensitivity, self.noise_multiplier, 1.0, 1, "site", "add_remove", round_number)
