"""Inverting Gradients (Geiping, Bauermeister, Dröge and Moeller, NeurIPS 2020): cosine distance, TV and Adam."""

from typing import ClassVar, Literal

import torch

from medfed.registry import plugin
from privacy.inversion.contract import Search
from privacy.inversion.descent import descend
from privacy.inversion.fields import Count, NonNegative, Positive
from privacy.inversion.terms import Terms


@plugin
class InvertingGradients:
    """Adam on the pixels down 1 - cosine + TV.

    The weight of total variation falls as (1 - t)^2 to zero over the run, which the paper keeps constant: a constant
    weight that helps at first keeps the end blurred. The step size falls by half a cosine.

    Attributes:
        iterations: evaluations.
        restarts: starts at once; the best end wins.
        step: step size of Adam, in intensity.
        signed: use the sign of each gradient, as the paper does.
        total_variation: its weight at the start.
        mask_zeros: leave out entries that are exactly zero in the update.
        passes: weight of the prior over passes, where there are several of several batches.
    """

    precision: ClassVar[Literal["float32", "float64"]] = "float32"

    iterations: Count = 1000
    restarts: Count = 1
    step: Positive = 0.05
    signed: bool = False
    total_variation: NonNegative = 0.04
    mask_zeros: bool = False
    passes: NonNegative = 1.0

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Descend from all starts at once."""

        def terms(share: float) -> Terms:
            return Terms(
                mask_zeros=self.mask_zeros,
                total_variation=self.total_variation * (1 - share) ** 2,
                passes=self.passes,
            )

        images, labels = search.start(self.restarts, generator)
        descend(search, images, labels, terms, iterations=self.iterations, step=self.step, signed=self.signed)
