"""The hardest label skew: each site sees one class only (Y. Zhao et al., arXiv:1806.00582, 1-class non-IID)."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from medfed.data.partition.contract import Units, draw_until, group
from medfed.errors import DataError
from medfed.registry import plugin


@plugin
class OneClass:
    """Sites are shared out among the classes so that their sizes come out as equal as can be."""

    keeps_sites: ClassVar[bool] = False
    num_sites: Annotated[int, Field(ge=2)]

    def __call__(
        self,
        labels: NDArray[np.int64] | None,
        patients: Sequence[str],
        sites: Sequence[str],
        generator: np.random.Generator,
        min_images: int,
    ) -> tuple[str, ...]:
        """Give each class its sites and deal its shuffled patients out among them."""
        units = group(patients, labels)
        classes = _pure_classes(units, labels)
        values, counts = np.unique(classes, return_counts=True)
        if len(values) > self.num_sites:
            raise DataError(
                f'partition "one_class" over {self.num_sites} sites cannot hold {len(values)} classes, one per '
                f"site; set num_sites to {len(values)} or more"
            )
        owners = _sites_per_class(counts, self.num_sites)

        def draw() -> NDArray[np.int64]:
            site_of_unit = np.empty(len(units), dtype=np.int64)
            for value, owned in zip(values, owners, strict=True):
                members = generator.permutation(np.flatnonzero(classes == value))
                site_of_unit[members] = owned[np.arange(len(members)) % len(owned)]
            return site_of_unit

        return draw_until(draw, units, self.num_sites, min_images, "lower num_sites or data.min_images_per_site")


def _pure_classes(units: Units, labels: NDArray[np.int64] | None) -> NDArray[np.int64]:
    if labels is None or units.labels is None:
        raise DataError('partition "one_class" needs a label for every image; use "iid" or "quantity"')
    mixed = np.flatnonzero(units.labels[units.of_row] != labels)
    if len(mixed):
        raise DataError(
            f'partition "one_class": {len(mixed)} images have another class than most of their patient\'s, '
            'and a patient is never divided; use "dirichlet" with a small alpha'
        )
    return units.labels


def _sites_per_class(counts: NDArray[np.int64], num_sites: int) -> list[NDArray[np.int64]]:
    """Site indices of each class: one each, the others to where a site would be largest (D'Hondt)."""
    seats = np.ones(len(counts), dtype=np.int64)
    for _ in range(num_sites - len(counts)):
        seats[np.argmax(counts / seats)] += 1
    return np.split(np.arange(num_sites), np.cumsum(seats)[:-1])
