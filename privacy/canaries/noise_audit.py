"""Is the noise that is added the noise that is claimed, and does nobody count for more than is claimed?

A canary is a contribution that is as long as the bound allows, in a direction of its own; the release is projected onto
it. In units of the claimed sensitivity this response is N(1, z^2) if the claim is true, z being the noise multiplier.
Two faults raise epsilon: noise with a smaller deviation, and a contribution that counts for more than 1. Each has an
exact test (chi-squared, and Gaussian with the claimed z); both together alarm falsely with the probability asked for.

Of all tests of a weight the one by the mean is the most powerful (Neyman and Pearson 1933), and n responses tell 2 from
1 with an error b on either side only if n >= (z (q_a + q_b))^2, q being Gaussian quantiles. Where the claimed noise is
so large that one release of the canaries is not enough, they are therefore released again, with fresh noise.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.stats import chi2, norm

from privacy.canaries.release import CanaryRelease, release_canaries
from privacy.mechanisms.contract import ServerMechanism, SharedMechanism, SiteMechanism, TrainingMechanism
from privacy.noise import Normal

FALSE_ALARMS = 0.01

MISSED = 0.01
"""Probability that a contribution which counts twice is not found."""

MOST_RESPONSES = 20_000
"""Enough up to a noise multiplier of 28; beyond, only what counts for more than twice is found so surely."""


class NoiseAudit(NamedTuple):
    """What the responses say, in units of the claimed sensitivity.

    Attributes:
        most_noise: upper end of the noise multiplier's one-sided interval.
        least_weight: lower end of that of a contribution's weight, if the noise is as claimed.
        claimed: noise multiplier.
    """

    most_noise: float
    least_weight: float
    claimed: float

    @property
    def enough_noise(self) -> bool:
        """Whether the responses agree with the claimed noise, or with more."""
        return self.most_noise >= self.claimed

    @property
    def weight_within(self) -> bool:
        """Whether they agree with the claimed sensitivity, or with less."""
        return self.least_weight <= 1.0

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the claim."""
        return self.enough_noise and self.weight_within


def audit_noise(
    responses: Float64[ndarray, " response"], claimed: float, false_alarms: float = FALSE_ALARMS
) -> NoiseAudit:
    """Test a claimed noise multiplier on the responses of canaries that were all included.

    Args:
        responses: projections onto the canaries, in units of the claimed sensitivity; independent, two or more.
        claimed: noise multiplier, above 0.
        false_alarms: probability that one of the two tests speaks against a true claim.

    Raises:
        ValueError: there are fewer than two responses, or no noise is claimed.
    """
    m = len(responses)
    if m < 2 or claimed <= 0.0:
        raise ValueError(f"expected two responses or more and a claim above 0; got {m} and {claimed}")
    each = false_alarms / 2.0
    most = math.sqrt(float(responses.var()) * m / float(chi2.ppf(each, m - 1)))
    least = float(responses.mean()) - float(norm.isf(each)) * claimed / math.sqrt(m)
    return NoiseAudit(most, least, claimed)


def responses_needed(claimed: float) -> int:
    """How many find a contribution that counts twice, but for :data:`MISSED`; at most :data:`MOST_RESPONSES`."""
    reach = claimed * float(norm.isf(FALSE_ALARMS / 2.0) + norm.isf(MISSED))
    return min(math.ceil(reach**2), MOST_RESPONSES)


def released_for_audit(
    mechanism: ServerMechanism | SiteMechanism | SharedMechanism | TrainingMechanism,
    num_canaries: int,
    normal: Normal,
) -> CanaryRelease:
    """Canaries that are all included, released once, or as often as :func:`responses_needed` of the claim.

    Args:
        mechanism: any that protects something.
        num_canaries: of each release.
        normal: standard normal draws, as the mechanism gets them.

    Returns:
        The responses of all releases, one after the other.

    Raises:
        ValueError: the mechanism protects nothing.
    """
    everyone = np.ones(num_canaries, dtype=bool)
    responses, claimed = release_canaries(mechanism, everyone, normal)
    again = math.ceil(responses_needed(claimed) / num_canaries) - 1
    more = [release_canaries(mechanism, everyone, normal).responses for _ in range(again)]
    return CanaryRelease(np.concatenate([responses, *more]), claimed)
