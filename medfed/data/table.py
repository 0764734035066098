"""A data set before decoding: one record per image, and the store that holds the pixels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from medfed.types import Split

SINGLE_SITE = "site"
"""The name of the only site of a data set that names none."""


@dataclass(frozen=True)
class Record:
    """One image with all that is known about it.

    ``image`` and ``mask`` are references into the table's store (a path relative to the manifest, or
    ``train_images[17]``); ``row`` is what a message calls it (line of the file, or index).
    """

    image: str
    mask: str | None
    label: str | None
    site: str
    split: Split | None
    patient: str | None
    row: int
    subgroups: Mapping[str, str] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """The patient, or the image itself where the patient is unknown: what must never be divided."""
        return self.patient if self.patient is not None else self.image


@runtime_checkable
class Store(Protocol):
    """Where the pixels lie. All three raise :class:`medfed.data.faults.ImageFault`."""

    def content(self, reference: str) -> bytes:
        """The stored bytes, for hashing."""
        ...

    def image(self, reference: str) -> NDArray[Any]:
        """The image at full size, (channel, height, width), in the file's own bit depth."""
        ...

    def mask(self, reference: str) -> NDArray[np.integer[Any]]:
        """The mask at full size, (height, width), integers."""
        ...


@dataclass(frozen=True)
class Table:
    """All records of one file, in its order.

    ``columns`` are the columns that the file has; ``warnings`` what the reader had to assume.
    """

    path: Path
    records: tuple[Record, ...]
    store: Store
    columns: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def where(self, record: Record) -> str:
        """How a message points at a record."""
        return f"{self.path}, row {record.row} ({record.image})"

    def replace_records(self, records: tuple[Record, ...], *warnings: str) -> "Table":
        """The same table with other records and further warnings."""
        return replace(self, records=records, warnings=(*self.warnings, *warnings))
