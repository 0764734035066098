"""Label skew after M. Yurochkin et al. (ICML 2019) and Q. Li et al. (NIID-Bench, ICDE 2022, section IV-A).

For every class c the shares of the K sites are drawn as q_c ~ Dirichlet_K(alpha), and the patients of the class
are dealt out by these shares. Sites then differ in their class mixture and, as a consequence, in size. Every image
is used once. Draws in which a site stays too small are repeated.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from medfed.data.partition.contract import draw_until, group
from medfed.errors import DataError
from medfed.registry import plugin


@plugin
class Dirichlet:
    """Shares of each class over sites ~ Dirichlet(alpha); ``alpha`` -> infinity is IID, -> 0 one site per class."""

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
        """Deal out the patients of every class by shares of its own."""
        units = group(patients, labels)
        if units.labels is None:
            raise DataError('partition "dirichlet" needs a label for every image; use "iid" or "quantity"')
        classes = units.labels
        remedy = "raise alpha, or lower num_sites or data.min_images_per_site"
        return draw_until(
            lambda: _draw(classes, self.num_sites, self.alpha, generator), units, self.num_sites, min_images, remedy
        )


def _draw(
    classes: NDArray[np.int64], num_sites: int, alpha: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    site_of_unit = np.empty(len(classes), dtype=np.int64)
    for label in np.unique(classes):
        members = generator.permutation(np.flatnonzero(classes == label))
        shares = generator.dirichlet(np.full(num_sites, alpha))
        cuts = np.rint(np.cumsum(shares)[:-1] * len(members)).astype(np.int64)
        for site, dealt in enumerate(np.split(members, cuts)):
            site_of_unit[dealt] = site
    return site_of_unit
