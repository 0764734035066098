"""More like models that saw it than like models that did not (LiRA, Carlini et al., IEEE S&P 2022, Algorithm 1)."""

import numpy as np

from medfed.registry import plugin
from privacy.membership.contract import Scores, Signals
from privacy.membership.moments import moments


@plugin
class LiraOnline:
    """The likelihood-ratio attack: ``log N(target; mean_in, var_in) - log N(target; mean_out, var_out)``.

    Attributes:
        per_image_variance: standard deviations per image, for dozens of shadows; else two for all.
    """

    per_image_variance: bool = False

    def __call__(self, signals: Signals) -> Scores:
        """The logarithm of the ratio."""
        inside, outside = (
            moments(signals.shadows, chosen, self.per_image_variance)
            for chosen in (signals.trained_on, ~signals.trained_on)
        )
        found: Scores = _log_density(signals.target, *inside) - _log_density(signals.target, *outside)
        return found


def _log_density(values: Scores, mean: Scores, deviation: Scores) -> Scores:
    """Of a Gaussian, but for a constant."""
    found: Scores = -0.5 * ((values - mean) / deviation) ** 2 - np.log(deviation)
    return found
