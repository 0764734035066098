"""Below a certain loss it was in the training data (Yeom et al., CSF 2018): the same threshold for every image."""

from medfed.registry import plugin
from privacy.membership.contract import Scores, Signals


@plugin
class LossThreshold:
    """The target's confidence alone, which falls as its loss rises. Needs no shadows; easy images look like members."""

    def __call__(self, signals: Signals) -> Scores:
        """The confidence."""
        return signals.target.copy()
