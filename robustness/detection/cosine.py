"""Cosine clusters: who points as another does, and who points where nobody does.

Two scores per site and round, from the angles between updates. Alike: the cosine with the nearest other site; colluders
who send one vector stand at 1, far above any two honest sites. Apart: minus the median cosine with the others; who
pushes the model back stands alone, or in a small cluster of its kind. A site's score is the larger of the two.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from robustness.detection.contract import FalseAlarms, Finding, Round
from robustness.detection.outliers import over_rounds, scored, threshold

_LARGEST = 1.0 - 1e-6
"""A larger cosine counts as it: Fisher's transform of 1 is infinite."""


def alike_and_apart(updates: Float[Tensor, "site value"]) -> tuple[Float[Tensor, " site"], Float[Tensor, " site"]]:
    """Fisher's transform (artanh) of the largest, and minus that of the median, cosine of each site with the others."""
    directions = torch.nn.functional.normalize(updates.double(), dim=1)
    cosine = directions @ directions.t()
    others = cosine[~torch.eye(len(cosine), dtype=torch.bool)].view(len(cosine), -1)
    angles = others.clamp(-_LARGEST, _LARGEST).atanh()
    return angles.max(dim=1).values, -angles.quantile(0.5, dim=1)


@plugin
class Cosine:
    """The larger of two scores: as near to another site as no two honest sites are, or far from most.

    Attributes:
        false_alarms: share of honest sites that may be suspected.
    """

    false_alarms: FalseAlarms = 0.01

    def __call__(self, rounds: Sequence[Round]) -> Finding:
        """Each of the two scores has half of the rate."""
        if any(len(of_round.sites) < 2 for of_round in rounds):
            raise ValueError("angles need rounds of two sites or more")
        alike, apart = [], []
        for of_round in rounds:
            near, far = alike_and_apart(of_round.updates)
            alike.append(dict(zip(of_round.sites, near.tolist(), strict=True)))
            apart.append(dict(zip(of_round.sites, far.tolist(), strict=True)))
        one, other = scored(over_rounds(alike)), scored(over_rounds(apart))
        scores = {site: max(one[site], other[site]) for site in one}
        return Finding(scores, threshold(len(scores), self.false_alarms / 2.0))
