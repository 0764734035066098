"""File suffix -> reader. A further format is one reader and one line here."""

from collections.abc import Callable
from pathlib import Path

from medfed.data.manifest import read_manifest
from medfed.data.medmnist import read_medmnist
from medfed.data.table import Table
from medfed.errors import DataError
from medfed.sections import Columns

Reader = Callable[[Path, Columns], Table]

SOURCES: dict[str, Reader] = {".csv": read_manifest, ".npz": read_medmnist}


def read_table(path: Path, columns: Columns) -> Table:
    """Read the records of a manifest or data file.

    Raises:
        DataError: the suffix is unknown, or the file is not as its reader expects.
    """
    reader = SOURCES.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(SOURCES))
        raise DataError(f'{path}: unknown kind of data file "{path.suffix}"; expected one of: {known}')
    return reader(path, columns)
