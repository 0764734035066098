"""Is the noise that is added the noise that is claimed, and does nobody count for more than is claimed?

A canary is a contribution that is as long as the bound allows, in a direction of its own; the release is projected onto
it. In units of the claimed sensitivity this response is N(1, z^2) if the claim is true, z being the noise multiplier.
Two faults raise epsilon: noise with a smaller deviation, and a contribution that counts for more than 1. Each has an
exact test (chi-squared, and Gaussian with the claimed z); both together alarm falsely with the probability asked for.
"""

import math
from typing import NamedTuple

from jaxtyping import Float64
from numpy import ndarray
from scipy.stats import chi2, norm

FALSE_ALARMS = 0.02


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
    responses: Float64[ndarray, " canary"], claimed: float, false_alarms: float = FALSE_ALARMS
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
