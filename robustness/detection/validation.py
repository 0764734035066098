"""Validation on the server's own data: whose update, alone, makes the model worse.

The loss of (global weights + one site's update) on images that the server has, as in Zeno (Xie, Koyejo and Gupta, ICML
2019) and in the error-based rejection of Fang et al. (USENIX Security 2020). It needs labelled images at the server and
sees nothing of a backdoor, which leaves the loss on clean images as it is.
"""

import math
from collections.abc import Sequence

from medfed.registry import plugin
from robustness.detection.contract import FalseAlarms, Finding, Round
from robustness.detection.outliers import over_rounds, scored, threshold


def losses(of_round: Round) -> dict[str, float]:
    """The loss after each site's update alone; one that is not finite counts as infinite.

    Raises:
        ValueError: the server has no images.
    """
    if of_round.loss is None:
        raise ValueError(f"round {of_round.number}: the server has no images to validate updates on")
    found = {site: of_round.loss(update) for site, update in zip(of_round.sites, of_round.updates, strict=True)}
    return {site: value if math.isfinite(value) else math.inf for site, value in found.items()}


@plugin
class ServerValidation:
    """The mean loss of the model that each site's update alone would make; a larger one is suspicious.

    Attributes:
        false_alarms: share of honest sites that may be suspected.
    """

    false_alarms: FalseAlarms = 0.01

    def __call__(self, rounds: Sequence[Round]) -> Finding:
        """One-sided."""
        scores = scored(over_rounds([losses(of_round) for of_round in rounds]))
        return Finding(scores, threshold(len(scores), self.false_alarms))
