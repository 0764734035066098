"""GradInversion (Yin et al., "See through gradients", CVPR 2021): BatchNorm statistics and agreement of restarts."""

from typing import ClassVar, Literal

import torch

from medfed.registry import plugin
from privacy.inversion.contract import Search
from privacy.inversion.descent import descend
from privacy.inversion.fields import Count, NonNegative, Positive
from privacy.inversion.terms import Terms


@plugin
class GradInversion:
    """Adam down cosine distance + TV + mismatch of BatchNorm statistics + distance of restarts from their mean.

    The statistics are those of the site's own batches where it sent its running statistics, else the global running
    ones (equations 7 to 10). Images are not registered before the mean over restarts is taken, which the paper does.

    Attributes:
        iterations: evaluations.
        restarts: starts at once.
        step: step size of Adam, in intensity.
        signed: use the sign of each gradient.
        total_variation: its weight at the start; it falls as (1 - t)^2.
        batch_norm: weight of the statistics.
        group: weight of the agreement of restarts, in force over the second half of the run.
    """

    precision: ClassVar[Literal["float32", "float64"]] = "float32"

    iterations: Count = 1000
    restarts: Count = 4
    step: Positive = 0.025
    signed: bool = True
    total_variation: NonNegative = 0.04
    batch_norm: NonNegative = 0.01
    group: NonNegative = 0.01

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Descend from all starts at once."""

        def terms(share: float) -> Terms:
            return Terms(
                total_variation=self.total_variation * (1 - share) ** 2,
                batch_norm=self.batch_norm,
                group=self.group if share > 0.5 else 0.0,
                passes=1.0,
            )

        images, labels = search.start(self.restarts, generator)
        descend(search, images, labels, terms, iterations=self.iterations, step=self.step, signed=self.signed)
