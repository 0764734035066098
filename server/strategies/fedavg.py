"""Federated averaging (McMahan et al., AISTATS 2017, Algorithm 1), written on differences.

    w <- w + sum_k p_k (w_k - w),   p_k = n_k / sum n  or  1 / K

which equals the mean of the local weights. Integer buffers are rounded to the nearest.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medfed.registry import plugin
from medfed.types import Update
from server.strategies.common import Common


@plugin
class FedAvg(Common):
    """Mean of the sites' changes, weighted by image counts or uniformly.

    Attributes:
        weighting: ``examples`` (image counts as the sites state them) or ``uniform``.
        max_examples: policy cap on a site's stated count, since the server trusts no number from a site; where counts
            weigh, a site that states more when it joins is refused.
    """

    post_processing: ClassVar[bool] = True

    weighting: Literal["examples", "uniform"] = "examples"
    max_examples: Annotated[int, Field(ge=1)] = 1_000_000

    def weight(self, update: Update) -> float:
        """1, or the stated image count up to the cap."""
        return 1.0 if self.weighting == "uniform" else float(min(update.num_examples, self.max_examples))
