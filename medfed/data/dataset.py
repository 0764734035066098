"""A scenario's data, read, checked, decoded and given to sites.

Natural sites keep all their splits. A partitioner divides training and validation images only: the official
test split stays whole, and every site is scored on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medfed.data.cache import open_decoded
from medfed.data.check import Finding, check_duplicates, check_labels, check_masks, check_patients
from medfed.data.convert import DecodeSettings
from medfed.data.duplicates import copies_to_drop
from medfed.data.halves import halved
from medfed.data.labels import class_indices
from medfed.data.manifest import missing_column
from medfed.data.sites import Rows, give_to_sites
from medfed.data.sources import read_table
from medfed.data.splits import all_for_test, fill_splits
from medfed.data.table import Record, Table
from medfed.errors import DataError
from medfed.sections import DataConfig
from medfed.types import SPLITS, ImageSet, SiteData, Task

_SHOWN = 5
_FEW_TEST_PATIENTS = 10


@dataclass(frozen=True, eq=False)
class Dataset:
    """All sites of a scenario; a site is an index view on the shared arrays.

    Attributes:
        path: the manifest or data file.
        images: (rows, channel, height, width), memory-mapped.
        targets: (rows,) class indices or (rows, height, width) class maps.
        records: what is known about each row.
        rows: for each site, the rows of each split, in manifest order.
        warnings: what one should know about the data, one line each; they are kept with a run, and name rows of the
            manifest, never a patient or a file.
        split_here: the data name no split, so that one was made.
    """

    path: Path
    images: NDArray[Any]
    targets: NDArray[Any]
    records: tuple[Record, ...]
    rows: Mapping[str, Rows]
    warnings: tuple[str, ...]
    split_here: bool = False

    @property
    def sites(self) -> tuple[str, ...]:
        """Site names, sorted."""
        return tuple(sorted(self.rows))

    def site(self, name: str) -> SiteData:
        """The images of one site.

        Raises:
            DataError: no such site.
        """
        if name not in self.rows:
            raise DataError(f'{self.path}: no site "{name}"; there are: {", ".join(self.sites)}')
        rows = self.rows[name]
        train, val, test = (self._set(rows[split]) for split in SPLITS)
        return SiteData(name, train, val, test, self.split_here)

    def _set(self, rows: NDArray[np.int64]) -> ImageSet:
        return image_set(self.images, self.targets, self.records, rows)


def image_set(
    images: NDArray[Any], targets: NDArray[Any], records: Sequence[Record], rows: NDArray[np.int64]
) -> ImageSet:
    """The rows ``rows`` of a decoded data set."""
    chosen = [records[row] for row in rows]
    subgroups = {name: tuple(record.subgroups[name] for record in chosen) for name in records[0].subgroups}
    units, names = tuple(record.unit for record in chosen), tuple(record.image for record in chosen)
    return ImageSet(images, targets, rows, units, names, subgroups)


def open_dataset(path: Path, data: DataConfig, task: Task, seed: int, trains: bool = True) -> Dataset:
    """Read, check, decode and divide a data set.

    Args:
        path: the manifest (.csv) or MedMNIST file (.npz).
        data: how to read it.
        task: the classes, channels and size that are wanted.
        seed: the scenario's seed, for partition and missing splits where ``data`` has none of its own.
        trains: every site needs images of every split; if not, images without a split are all for the test.

    Raises:
        DataError: the data cannot be used as the scenario asks; says what to mend.
    """
    seed = seed if data.seed is None else data.seed
    table = read_table(path, data.columns)
    _needs_columns(table, data, task)
    table = _only_sites(table, data.sites)
    split_here = trains and any(record.split is None for record in table.records)
    table = fill_splits(table, seed) if trains else all_for_test(table)
    segmentation = task.kind == "segmentation"
    labels = check_masks(table.records, True) if segmentation else check_labels(table.records, task.classes, True)
    warnings = [*table.warnings, *_raise_errors(table.path, [*labels, *check_patients(table.records)])]

    num_classes = task.num_classes if segmentation else None
    settings = DecodeSettings(task.image_size, task.channels, data.intensity, data.masks, num_classes)
    decoded = open_decoded(table, settings)
    digests = [row.tobytes() for row in decoded.digests]
    kept = np.arange(len(table.records), dtype=np.int64)
    if data.duplicates == "drop":
        dropped = copies_to_drop(table.records, digests)
        kept = np.setdiff1d(kept, np.array(sorted(dropped), dtype=np.int64))
        if dropped:
            warnings.append(f"dropped {len(dropped)} copies of images that occur in a more protected split")
    warnings += _raise_errors(path, check_duplicates([table.records[i] for i in kept], [digests[i] for i in kept]))

    targets: NDArray[Any] | None = decoded.masks
    if targets is None:
        targets = class_indices([record.label or "" for record in table.records], task.classes)
    try:
        rows = give_to_sites(table.records, kept, _row_labels(table.records, targets), data, seed, trains)
        rows = halved(rows, table.records, data.half, seed) if data.half else rows
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    warnings += _single_class_sites(rows, targets) if not segmentation else []
    warnings += _few_tests(rows, table.records)
    return Dataset(path, decoded.images, targets, table.records, rows, tuple(warnings), split_here)


def _needs_columns(table: Table, data: DataConfig, task: Task) -> None:
    part = "mask" if task.kind == "segmentation" else "label"
    if all(getattr(record, part) is None for record in table.records):
        name = getattr(data.columns, part)
        if name not in table.columns:
            raise missing_column(table.path, name, table.columns, part)


def _only_sites(table: Table, sites: tuple[str, ...]) -> Table:
    if not sites:
        return table
    known = sorted({record.site for record in table.records})
    unknown = [site for site in sites if site not in known]
    if unknown:
        raise DataError(f'{table.path}: data.sites names "{unknown[0]}"; there are: {", ".join(known)}')
    return table.replace_records(tuple(record for record in table.records if record.site in sites))


def _raise_errors(path: Path, findings: list[Finding]) -> list[str]:
    """Raise if there are errors; return the warnings as lines for a report, which names no patient and no file."""
    errors = [f"{path}: {finding}" for finding in findings if finding.level == "error"]
    if errors:
        more = [f"... and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
        raise DataError("\n".join([*errors[:_SHOWN], *more]))
    return [finding.without_names() for finding in findings]


def _row_labels(records: Sequence[Record], targets: NDArray[Any]) -> NDArray[np.int64] | None:
    """Class index per row for partitioners; from the label column where the task is segmentation."""
    if targets.ndim == 1:
        return targets
    labels = [record.label for record in records]
    names = sorted({label for label in labels if label is not None})
    if None in labels:
        return None
    return np.array([names.index(label) for label in labels if label is not None], dtype=np.int64)


def _single_class_sites(rows: Mapping[str, Rows], targets: NDArray[Any]) -> list[str]:
    single = [site for site, found in sorted(rows.items()) if len(np.unique(targets[found["train"]])) == 1]
    return [f"sites with training images of one class only: {', '.join(single)}"] if single else []


def _few_tests(rows: Mapping[str, Rows], records: Sequence[Record]) -> list[str]:
    """A warning where a site's test images come from so few patients that its interval says little."""
    patients = {site: len({records[row].unit for row in found["test"]}) for site, found in sorted(rows.items())}
    few = [f"{site} ({number})" for site, number in patients.items() if number < _FEW_TEST_PATIENTS]
    said = f"sites with fewer than {_FEW_TEST_PATIENTS} test patients, whose intervals mean little: {', '.join(few)}"
    return [said] if few else []


def pool(sites: Sequence[SiteData], name: str = "pooled") -> SiteData:
    """All images of several sites of one data set as one site; rows that sites share count once.

    Args:
        sites: at least one, in the order in which their rows are to stand.
        name: what the pooled site is called.

    Raises:
        ValueError: no sites, or sites of different data sets.
    """
    if not sites:
        raise ValueError("pool needs at least one site")
    train, val, test = (_union([site.split(split) for site in sites]) for split in ("train", "val", "test"))
    return SiteData(name, train, val, test)


def _union(sets: Sequence[ImageSet]) -> ImageSet:
    first = sets[0]
    if any(other.images is not first.images or other.targets is not first.targets for other in sets):
        raise ValueError("only sites of one data set can be pooled")
    every = np.concatenate([one.rows for one in sets])
    _, positions = np.unique(every, return_index=True)
    positions = np.sort(positions)

    def join(columns: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        values = [value for column in columns for value in column]
        return tuple(values[position] for position in positions)

    return replace(
        first,
        rows=every[positions],
        patients=join([one.patients for one in sets]),
        names=join([one.names for one in sets]),
        subgroups={name: join([one.subgroups[name] for one in sets]) for name in first.subgroups},
    )
