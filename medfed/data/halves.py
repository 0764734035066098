"""Random halves of what a site could have trained on: how much does a model owe to one image?

Half number 2 j - 1 of a site is a random half of its patients in training and validation data; number 2 j holds the
others. What is not in the half validates. So each image trains exactly half of the models of any even number of halves,
and none of them could be told by its splits from what the site uses in earnest. Test images stay as they are.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from medfed.data.sites import Rows
from medfed.data.table import Record
from medfed.errors import DataError
from medfed.rng import numpy_generator


def halved(rows: Mapping[str, Rows], records: Sequence[Record], half: int, seed: int) -> dict[str, Rows]:
    """The rows of every site, with one of its halves for training and the other for validation.

    Args:
        rows: of every site and split.
        records: what is known about each row.
        half: from 1.
        seed: the scenario's.

    Raises:
        DataError: a site has one patient only, who cannot be in both.
    """
    return {site: {**found, **_halved(site, found, records, half, seed)} for site, found in rows.items()}


def _halved(site: str, found: Rows, records: Sequence[Record], half: int, seed: int) -> Rows:
    known = np.sort(np.concatenate([found["train"], found["val"]]))
    owners = [records[row].unit for row in known]
    units = sorted(set(owners))
    if len(units) < 2:
        raise DataError(f"site {site}: data.half needs two patients or more in training and validation; it has one")
    order = numpy_generator(seed, "half", site, (half - 1) // 2).permutation(len(units))
    chosen = {units[i] for i in order[: len(units) // 2]}
    first = np.array([owner in chosen for owner in owners])
    inside = first if half % 2 else ~first
    return {"train": known[inside], "val": known[~inside]}
