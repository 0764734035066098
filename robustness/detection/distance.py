"""Distance to the aggregate over rounds: who is, round after round, further from it, or nearer to it, than others.

The aggregate is the coordinate-wise median of the round's updates, which fewer than half of the sites cannot carry
away, whatever rule the federation uses. Both sides count: attacks that hide (a little is enough) come nearer to the
middle than any honest site does.
"""

from collections.abc import Sequence

import torch

from medfed.registry import plugin
from robustness.aggregation.median import coordinate_median
from robustness.detection.contract import FalseAlarms, Finding, Round
from robustness.detection.outliers import over_rounds, scored, threshold

_SHORTEST = 1e-12
"""A distance below it counts as it: the logarithm of 0 is no number."""


def log_distances(of_round: Round) -> dict[str, float]:
    """Logarithm of each site's Euclidean distance to the coordinate-wise median."""
    centred = of_round.updates.double() - coordinate_median(of_round.updates).double()
    distances = torch.linalg.vector_norm(centred, dim=1).clamp(min=_SHORTEST).log()
    return dict(zip(of_round.sites, distances.tolist(), strict=True))


@plugin
class Distance:
    """The mean logarithm of the distance to the coordinate-wise median; far and near both count.

    Attributes:
        false_alarms: share of honest sites that may be suspected.
    """

    false_alarms: FalseAlarms = 0.01

    def __call__(self, rounds: Sequence[Round]) -> Finding:
        """Absolute scores."""
        scores = scored(over_rounds([log_distances(of_round) for of_round in rounds]))
        limit = threshold(len(scores), self.false_alarms / 2.0)
        return Finding({site: abs(score) for site, score in scores.items()}, limit)
