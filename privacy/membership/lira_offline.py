"""More confident than models that never saw it (LiRA without shadows of members, Carlini et al., IEEE S&P 2022)."""

from medfed.registry import plugin
from privacy.membership.contract import Scores, Signals
from privacy.membership.moments import moments


@plugin
class LiraOffline:
    """The likelihood-ratio attack, one-sided: ``(target - mean_out) / deviation_out`` (before the cdf).

    Attributes:
        per_image_variance: a standard deviation per image, for dozens of shadows; else one for all.
    """

    per_image_variance: bool = False

    def __call__(self, signals: Signals) -> Scores:
        """How many standard deviations above the shadows."""
        mean, deviation = moments(signals.shadows, ~signals.trained_on, self.per_image_variance)
        found: Scores = (signals.target - mean) / deviation
        return found
