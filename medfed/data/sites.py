"""From rows to sites: calls the partitioner and makes sure that every site can train, validate and test."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medfed.data.partition import Partitioner, assign
from medfed.data.table import Record
from medfed.errors import DataError
from medfed.rng import numpy_generator
from medfed.sections import DataConfig
from medfed.types import SPLITS, Split

Rows = dict[Split, NDArray[np.int64]]
"""The rows of each split."""

_ATTEMPTS = 20
_NAMED = 10  # sites in one line of complaint


def give_to_sites(
    records: Sequence[Record],
    kept: NDArray[np.int64],
    labels: NDArray[np.int64] | None,
    data: DataConfig,
    seed: int,
    trains: bool = True,
) -> dict[str, Rows]:
    """The rows of every site.

    Args:
        records: all rows; each has a split.
        kept: rows to give away, ascending.
        labels: class index of all rows, or None.
        data: partitioner and ``min_images_per_site``.
        seed: the scenario's seed.
        trains: every site needs images of every split.

    Raises:
        DataError: a site would be too small, or lack training, validation or test images.
    """
    partitioner: Partitioner = data.partition
    generator = numpy_generator(seed, "partition")
    shared_test = np.array([row for row in kept if records[row].split == "test"], dtype=np.int64)
    moved = kept if partitioner.keeps_sites else np.setdiff1d(kept, shared_test)
    patients, sites = [records[row].unit for row in moved], [records[row].site for row in moved]
    chosen = labels[moved] if labels is not None else None
    if len(moved) == 0:
        raise DataError("no training or validation images to give to sites; check the split column")
    empty: dict[str, list[Split]] = {}
    for _ in range(1 if partitioner.keeps_sites else _ATTEMPTS):
        names = assign(partitioner, chosen, patients, sites, generator, data.min_images_per_site)
        rows = _by_split(records, moved, names)
        if not partitioner.keeps_sites:
            rows = {site: {**found, "test": shared_test} for site, found in rows.items()}
        empty = {site: [split for split in SPLITS if not len(found[split])] for site, found in rows.items()}
        empty = {site: splits for site, splits in sorted(empty.items()) if splits}
        if not empty or not trains:
            return rows
    listed = ", ".join(f"{site} (no {' or '.join(splits)})" for site, splits in list(empty.items())[:_NAMED])
    listed += f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else ""
    raise DataError(
        f"sites without images of every split: {listed}; add images, leave these sites out with data.sites, "
        "or choose fewer sites in data.partition"
    )


def _by_split(records: Sequence[Record], rows: NDArray[np.int64], names: Sequence[str]) -> dict[str, Rows]:
    found: dict[str, dict[Split, list[int]]] = defaultdict(lambda: {split: [] for split in SPLITS})
    for row, name in zip(rows, names, strict=True):
        split = records[row].split
        assert split is not None, "splits are filled in before rows are given to sites"
        found[name][split].append(int(row))
    return {
        site: {split: np.array(members, dtype=np.int64) for split, members in splits.items()}
        for site, splits in found.items()
    }
