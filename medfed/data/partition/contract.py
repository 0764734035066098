"""What a partitioner is, and the one place that holds it to its rules."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from medfed.errors import DataError

MAX_DRAWS = 100
"""How often a partitioner draws before it says that ``min_images`` cannot be met."""


@runtime_checkable
class Partitioner(Protocol):
    """Gives every row to a site. Pure: equal arguments and generator state give equal results.

    All rows of a patient go to one site, and every site gets at least ``min_images`` rows. A partitioner that
    keeps natural sites (``keeps_sites``) moves nothing and is also asked for the test rows; the others are
    given training and validation rows only.
    """

    keeps_sites: ClassVar[bool]

    def __call__(
        self,
        labels: NDArray[np.int64] | None,
        patients: Sequence[str],
        sites: Sequence[str],
        generator: np.random.Generator,
        min_images: int,
    ) -> tuple[str, ...]:
        """Name the site of every row.

        Args:
            labels: (rows,) class indices; None where images have no label (segmentation without labels).
            patients: patient (or image) of every row.
            sites: natural site of every row.
            generator: the only source of randomness.
            min_images: the least number of rows that a site must get.

        Returns:
            A site name per row.

        Raises:
            DataError: a constraint cannot be met, or was not met in :data:`MAX_DRAWS` draws.
        """
        ...


@dataclass(frozen=True, eq=False)
class Units:
    """Rows grouped by patient.

    Attributes:
        of_row: (rows,) unit of every row; units in the order of their names, so that row order has no influence.
        sizes: (units,) rows per unit.
        labels: (units,) most frequent label of a unit, the smallest on a tie; None without labels.
    """

    of_row: NDArray[np.int64]
    sizes: NDArray[np.int64]
    labels: NDArray[np.int64] | None

    def __len__(self) -> int:
        """Number of units."""
        return len(self.sizes)


def group(patients: Sequence[str], labels: NDArray[np.int64] | None) -> Units:
    """Group rows by patient."""
    _, inverse, sizes = np.unique(np.asarray(patients, dtype=object), return_inverse=True, return_counts=True)
    of_row = inverse.astype(np.int64).ravel()
    if labels is None:
        return Units(of_row, sizes, None)
    counts = np.zeros((len(sizes), int(labels.max()) + 1), dtype=np.int64)
    np.add.at(counts, (of_row, labels), 1)
    return Units(of_row, sizes, counts.argmax(axis=1))


def site_names(num_sites: int) -> tuple[str, ...]:
    """``site-01``, ``site-02``, ... with as many digits as the last one needs."""
    digits = max(2, len(str(num_sites)))
    return tuple(f"site-{number:0{digits}d}" for number in range(1, num_sites + 1))


def draw_until(
    draw: Callable[[], NDArray[np.int64]], units: Units, num_sites: int, min_images: int, remedy: str
) -> tuple[str, ...]:
    """Repeat ``draw`` (unit -> site index) until every site has ``min_images`` rows.

    Raises:
        DataError: too few images or patients for any draw, or :data:`MAX_DRAWS` draws failed.
    """
    total = len(units.of_row)
    if total < num_sites * min_images or len(units) < num_sites:
        raise DataError(
            f"{total} training and validation images of {len(units)} patients are too few for {num_sites} sites with "
            f"data.min_images_per_site = {min_images}; lower data.partition.num_sites or data.min_images_per_site"
        )
    smallest = 0
    for _ in range(MAX_DRAWS):
        site_of_unit = draw()
        sizes = np.bincount(site_of_unit, weights=units.sizes, minlength=num_sites)
        smallest = max(smallest, int(sizes.min()))
        if sizes.min() >= max(min_images, 1):
            names = site_names(num_sites)
            return tuple(names[site] for site in site_of_unit[units.of_row])
    raise DataError(
        f"no partition over {num_sites} sites with data.min_images_per_site = {min_images} found in {MAX_DRAWS} "
        f"draws (best smallest site: {smallest} images); {remedy}"
    )


def assign(
    partitioner: Partitioner,
    labels: NDArray[np.int64] | None,
    patients: Sequence[str],
    sites: Sequence[str],
    generator: np.random.Generator,
    min_images: int,
) -> tuple[str, ...]:
    """Call a partitioner and check what it returns.

    Raises:
        DataError: see :class:`Partitioner`. ValueError: the partitioner broke its contract.
    """
    names = partitioner(labels, patients, sites, generator, min_images)
    if len(names) != len(patients):
        raise ValueError(f"{type(partitioner).__name__} named {len(names)} sites for {len(patients)} rows")
    if not partitioner.keeps_sites:
        seen: dict[str, set[str]] = defaultdict(set)
        for patient, name in zip(patients, names, strict=True):
            seen[patient].add(name)
        divided = [patient for patient, found in seen.items() if len(found) > 1]
        if divided:
            raise ValueError(f"{type(partitioner).__name__} divided patient {divided[0]} over sites")
    return names
