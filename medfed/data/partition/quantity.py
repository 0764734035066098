"""Quantity skew: sites of unequal size, each with the same mixture of classes.

The shares of the sites are drawn from a symmetric Dirichlet distribution (Q. Li et al., "Federated learning on
non-IID data silos", ICDE 2022, section IV-C).
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from medfed.data.partition.contract import draw_until, group
from medfed.registry import plugin


@plugin
class Quantity:
    """Sizes of sites ~ Dirichlet(alpha, ..., alpha); a small ``alpha`` makes them very unequal."""

    keeps_sites: ClassVar[bool] = False
    num_sites: Annotated[int, Field(ge=2)]
    alpha: Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]

    def __call__(
        self,
        labels: NDArray[np.int64] | None,
        patients: Sequence[str],
        sites: Sequence[str],
        generator: np.random.Generator,
        min_images: int,
    ) -> tuple[str, ...]:
        """Cut shuffled patients at shares drawn from the Dirichlet distribution."""
        units = group(patients, labels)

        def draw() -> NDArray[np.int64]:
            shares = generator.dirichlet(np.full(self.num_sites, self.alpha))
            cuts = np.rint(np.cumsum(shares)[:-1] * len(units)).astype(np.int64)
            order = generator.permutation(len(units))
            site_of_unit = np.empty(len(units), dtype=np.int64)
            for site, members in enumerate(np.split(order, cuts)):
                site_of_unit[members] = site
            return site_of_unit

        remedy = "raise alpha, or lower num_sites or data.min_images_per_site"
        return draw_until(draw, units, self.num_sites, min_images, remedy)
