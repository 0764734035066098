"""Every site adds a share of the noise, and secure aggregation shows the server nothing but the sum.

    y_k = round(clip(x_k, C) / s) + N_Z(0, (z D)^2 / K),    mean = s sum_k y_k / number of sites that delivered

K sites are asked in a round. N_Z is Gaussian on integers (:mod:`privacy.discrete_gaussian`), s = C max(1, z) / 2^18 a
step, and D = C / s + sqrt(d) / 2 the sensitivity in steps: rounding moves a vector of d values by sqrt(d) / 2 at most.
If a share h of the sites adds its noise and keeps it to itself, what is left has the variance h (z D)^2; that, and no
more, is accounted for (Kairouz, Liu and Steinke, ICML 2021). Steps are so fine that noise of 2^18 / sqrt(K) of them
makes the excess over a Gaussian, of order exp(-pi^2 2^36 / K), zero in any floating-point number.
"""

import math
from collections.abc import Set
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from medfed.params import flatten, unflatten
from medfed.registry import plugin
from medfed.types import Weights
from privacy.clipping import clip
from privacy.discrete_gaussian import discrete_gaussian
from privacy.mechanisms.fields import Positive
from privacy.noise import Normal
from privacy.release import Release

_STEPS = 2**18
"""Of the clip, or of the noise, whichever is longer: float32 holds every number that occurs exactly."""


@plugin
class Distributed:
    """Sites share the noise that a trusted server would add; needs secure aggregation, and sites of equal weight.

    Attributes:
        clip: C, the longest update that counts in full, as a Euclidean norm over trained parameters that travel.
        noise_multiplier: z, standard deviation of the noise of all sites together / how far one site can move the sum.
        honest: h, the share of the sites asked that deliver, add their noise, and do not show it to the server.
    """

    trusted: ClassVar[str] = "the share of the sites that is called honest, and the server to follow the protocol"

    clip: Positive
    noise_multiplier: Annotated[float, Field(ge=0.01, le=1e4, allow_inf_nan=False)]
    honest: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = 0.6

    @property
    def step(self) -> float:
        """Of the integers that are summed."""
        return self.clip * max(1.0, self.noise_multiplier) / _STEPS

    def share(self, change: Weights, trained: Set[str], num_sites: int, normal: Normal) -> Weights:
        """What a site masks in place of ``change``: multiples of ``step``; of buffers nothing is told."""
        parameters = {name: value for name, value in change.items() if name in trained}
        clipped = flatten(clip(parameters, self.clip)).double().numpy()
        sensitivity = self.clip / self.step + math.sqrt(len(clipped)) / 2.0
        sigma = self.noise_multiplier * sensitivity / math.sqrt(num_sites)
        integers = (clipped / self.step).round() + discrete_gaussian(len(clipped), sigma, normal)
        noised = unflatten(torch.from_numpy(integers * self.step).float(), parameters)
        return {name: noised[name] if name in noised else torch.zeros_like(value) for name, value in change.items()}

    def release(self, round_number: int, largest_share: float) -> Release | None:
        """The sum, with the noise of the honest sites alone."""
        multiplier = self.noise_multiplier * math.sqrt(self.honest)
        return Release("discrete_gaussian", self.clip, multiplier, 1.0, 1, "site", "add_remove", round_number)

    def least_delivered(self, num_sites: int, num_colluding: int) -> int:
        """How many of the sites asked must deliver, so that a share ``honest`` of them is left without the colluding.

        Args:
            num_sites: that are asked in a round.
            num_colluding: of them, those that may show the server their noise.
        """
        return math.ceil(self.honest * num_sites - 1e-9) + num_colluding
