"""What a model, data and a scenario are, as SHA-256 digests from which nothing can be read back."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medfed.config import Scenario
from medfed.data.dataset import Dataset
from medfed.types import Weights


def weights_digest(weights: Weights) -> str:
    """Of every name, dtype, shape and value, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].contiguous()
        digest.update(repr((name, str(value.dtype), tuple(value.shape))).encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def rows_digest(dataset: Dataset, rows: NDArray[np.int64]) -> str:
    """Of the decoded images and targets of ``rows``, in their order; files may move or change their format."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(dataset.images[row].tobytes())
        digest.update(dataset.targets[row].tobytes())
    return digest.hexdigest()


def dataset_digest(dataset: Dataset) -> str:
    """Of all that sections may read of the data: which rows each site has in which split, and every such row.

    Of a row these are the decoded image, the target, and its record but for the names of files, which may move.
    """
    digest, used = hashlib.sha256(), set()
    for site, splits in sorted(dataset.rows.items()):
        for split, rows in sorted(splits.items()):
            digest.update(repr((site, split, rows.tolist())).encode("utf-8", "surrogatepass"))
            used.update(rows.tolist())
    for row in sorted(used):
        record = dataset.records[row]
        known = (record.row, record.label, record.unit, sorted(record.subgroups.items()))
        digest.update(repr(known).encode("utf-8", "surrogatepass"))
        digest.update(dataset.images[row].tobytes())
        digest.update(dataset.targets[row].tobytes())
    return digest.hexdigest()


def files_digest(root: Path, paths: Iterable[Path]) -> str:
    """Of the bytes of those ``paths`` that are files, and of where they lie below ``root``; of nothing where none is.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in paths if path.is_file()):
        digest.update(repr(path.relative_to(root).as_posix()).encode("utf-8", "surrogatepass"))
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def scenario_digest(scenario: Scenario) -> str:
    """Of the scenario without where the data lie."""
    return hashlib.sha256(scenario.travelling_text().encode()).hexdigest()
