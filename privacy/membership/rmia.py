"""Likelier under the target than other images are, each beside reference models (RMIA, Zarifzadeh et al., ICML 2024).

    ratio(x) = p(x | target) / p(x),    score(x) = share of images z with ratio(x) >= gamma ratio(z)

p(x) is the mean over reference models, half of them trained on x: (p_out(x) + p_in(x)) / 2. Without the latter
("offline") p_in is guessed as a p_out + 1 - a (arXiv:2312.03262). Few shadows suffice.

The score rises with ratio(x) alone, whatever gamma: gamma sets what a score means and how many tie, not who comes
before whom. A gamma above 1 ties images that a small pool should tell apart, hence 1.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.special import expit

from medfed.registry import plugin
from privacy.membership.contract import Scores, Signals


@plugin
class Rmia:
    """The relative attack; the other images z are those that are attacked.

    Attributes:
        gamma: how much larger the ratio must be.
        references: ``online``: shadows with and without x; ``offline``: those without x only.
        slope: a, offline only: how p_in is guessed from p_out.
    """

    gamma: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] = 1.0
    references: Literal["online", "offline"] = "online"
    slope: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3

    def __call__(self, signals: Signals) -> Scores:
        """The share of images that x exceeds."""
        ratio = expit(signals.target) / self._reference(signals)
        found: Scores = np.searchsorted(np.sort(ratio), ratio / self.gamma, side="right") / len(ratio)
        return found

    def _reference(self, signals: Signals) -> Scores:
        """p(x), above 0."""
        p = np.maximum(expit(signals.shadows), np.finfo(np.float64).tiny)
        outside = _mean(p, ~signals.trained_on)
        guessed = self.references == "offline"
        inside = self.slope * outside + 1.0 - self.slope if guessed else _mean(p, signals.trained_on)
        found: Scores = (outside + inside) / 2.0
        return found


def _mean(p: np.ndarray, chosen: np.ndarray) -> Scores:
    counts = chosen.sum(axis=0)
    if (counts < 1).any():
        raise ValueError("every image needs a shadow that was trained on it and one that was not; train more shadows")
    found: Scores = np.where(chosen, p, 0.0).sum(axis=0) / counts
    return found
