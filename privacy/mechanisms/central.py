"""The server clips whole updates and noises their mean (McMahan et al., ICLR 2018, "user-level" privacy).

    mean = (sum_k w_k clip(x_k, C) + N(0, (z C max_k w_k)^2)) / W

Weights w_k and denominator W are fixed before anyone answers: W is the weight of as many average sites as are asked in
a round. Adding or removing one site's update moves the sum by at most C max_k w_k. Neither would hold for the mean over
those who answered.
"""

from typing import ClassVar

from medfed.registry import plugin
from medfed.types import Weights
from privacy.mechanisms.contract import ClippedSum
from privacy.mechanisms.fields import Multiplier, Positive
from privacy.noise import Normal, add_noise
from privacy.release import Release


@plugin
class Central:
    """A trusted server clips every update, takes a mean with fixed weights, and noises it.

    Attributes:
        clip: C, the longest update that counts in full, as a Euclidean norm over trained parameters that travel.
        noise_multiplier: z, standard deviation of the noise on the mean / how far one site can move it.
    """

    trusted: ClassVar[str] = "the server, with every site's updates"

    clip: Positive
    noise_multiplier: Multiplier

    def bound(self, state: Weights) -> float:
        """Always the same."""
        return self.clip

    def noisy_mean(self, clipped: ClippedSum, state: Weights, normal: Normal) -> tuple[Weights, Weights]:
        """The mean plus noise; there is no state."""
        return noised_mean(clipped, self.clip, self.noise_multiplier, normal), state

    def release(self, round_number: int, largest_share: float) -> Release | None:
        """The mean."""
        sensitivity = self.clip * largest_share
        return Release("gaussian", sensitivity, self.noise_multiplier, 1.0, 1, "site", "add_remove", round_number)


def noised_mean(clipped: ClippedSum, bound: float, multiplier: float, normal: Normal) -> Weights:
    """The mean over the expected weight, with noise of ``multiplier`` times its sensitivity."""
    mean = {name: value / clipped.expected_weight for name, value in clipped.total.items()}
    return add_noise(mean, multiplier * bound * clipped.largest_share, normal)
