"""A row of the ledger and the chain that holds the rows together.

Each row has a hash of itself and of the hash before it, from a first one that names the site. Who changes, removes or
moves a row changes every hash after it; who computes all of them anew ends at another last hash, which is why the last
hash is worth writing down elsewhere (``medfed privacy ledger`` prints it).
"""

import hashlib
import json
from dataclasses import dataclass, fields
from typing import Any

from privacy.release import Release


@dataclass(frozen=True)
class Entry:
    """One release, as it was written before it left.

    Attributes:
        number: of the row, from 1.
        run: which run of which scenario, as the server calls it.
        release: how it was noised, for whom, in which round.
        model: SHA-256 of the global weights that the site was sent.
        update: SHA-256 of what left the site.
        time: in UTC, ISO 8601, seconds.
        hash: SHA-256 of this row and of the hash of the row before it.
    """

    number: int
    run: str
    release: Release
    model: str
    update: str
    time: str
    hash: str


COLUMNS = ("number", "run", *(field.name for field in fields(Release)), "model", "update_hash", "time", "hash")


def to_row(entry: Entry) -> tuple[Any, ...]:
    """The values of an entry in the order of :data:`COLUMNS`, numbers in the types that a database gives back."""
    kinds: dict[Any, Any] = {float: float, int: int}
    release = (kinds.get(field.type, str)(getattr(entry.release, field.name)) for field in fields(Release))
    return entry.number, entry.run, *release, entry.model, entry.update, entry.time, entry.hash


def from_row(row: tuple[Any, ...]) -> Entry:
    """The inverse of :func:`to_row`."""
    number, run, *release, model, update, time, found = row
    return Entry(number, run, Release(*release), model, update, time, found)


def first_hash(site: str) -> str:
    """What the first row of a site's ledger is chained to."""
    return hashlib.sha256(f"medfed ledger of {site}".encode()).hexdigest()


def chained(previous: str, row: tuple[Any, ...]) -> str:
    """The hash of a row (:func:`to_row`, whatever its last value) that follows a row with the hash ``previous``."""
    return hashlib.sha256(f"{previous}\n{json.dumps(row[:-1])}".encode()).hexdigest()
