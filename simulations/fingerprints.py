"""What the data of every site were when a run began: data that have changed since would make its rounds a mixture.

A run's ``data.json`` holds digests only. They are taken of what the sites see (decoded pixels, class indices), so that
files may move or be stored in another format without loss.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from medfed.checkpoints import damaged
from medfed.data.dataset import Dataset
from medfed.data.sites import Rows
from medfed.errors import RunFolderError
from medfed.files import write_text_atomic

Fingerprint = dict[str, str]
"""What it is of ("images", "labels", ...) -> hexadecimal BLAKE2b, or a number of images."""

Fingerprints = dict[str, Fingerprint]
"""By site, or by whatever else a folder holds the data of."""

FILE = "data.json"
_FORMAT = TypeAdapter(Fingerprints)
_COUNT = "number of images"
_IN_ANY_ORDER = "rows in any order"


def fingerprints(dataset: Dataset, sites: Sequence[str]) -> Fingerprints:
    """What the data of ``sites`` are; one pass over their decoded images, however many sites share them."""
    splits = {site: _split_of_rows(dataset.rows[site]) for site in sites}
    rows = sorted(set().union(*splits.values()))
    images = {row: _digest(dataset.images[row].tobytes()) for row in rows}
    labels = {row: _digest(dataset.targets[row].tobytes()) for row in rows}
    patients = {row: _digest(dataset.records[row].unit.encode("utf-8", "surrogatepass")) for row in rows}

    def fingerprint(split: Mapping[int, bytes]) -> Fingerprint:
        parts = {"images": images, "labels": labels, "splits": split, "patients": patients}
        of_site = sorted(split)
        found = {name: _digest(b"".join(map(part.__getitem__, of_site))).hex() for name, part in parts.items()}
        whole = sorted(b"".join(part[row] for part in parts.values()) for row in of_site)
        return {_COUNT: str(len(split)), _IN_ANY_ORDER: _digest(b"".join(whole)).hex(), **found}

    return {site: fingerprint(splits[site]) for site in sorted(sites)}


def _split_of_rows(rows: Rows) -> dict[int, bytes]:
    return {int(row): split.encode().ljust(5) for split, found in rows.items() for row in found}


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def write(folder: Path, found: Fingerprints) -> None:
    """Keep ``found`` in ``folder``.

    Raises:
        WriteError: it cannot be written.
    """
    write_text_atomic(folder / FILE, _FORMAT.dump_json(found, indent=2).decode() + "\n")


def digest(folder: Path) -> str:
    """Of all that :func:`write` kept in ``folder``, in hexadecimal."""
    return _digest((folder / FILE).read_bytes()).hex()


def require_same(folder: Path, found: Fingerprints, remedy: str) -> None:
    """Refuse to go on in ``folder`` where ``found`` is not what was kept there; without ``data.json``, nothing began.

    Args:
        folder: of a run, or of a sweep.
        found: what the data are now.
        remedy: what to do, besides putting the data back.

    Raises:
        RunFolderError: one line, which says what differs at which sites; or the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        if any(folder.glob("checkpoints/[0-9]*")):
            raise damaged(path, "it is missing, though rounds were completed")
        return
    try:
        kept = _FORMAT.validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise damaged(path, str(error)) from error
    changes = {name: change for name in sorted(kept | found) if (change := _change(kept.get(name), found.get(name)))}
    if changes:
        first, change = next(iter(changes.items()))
        more = f" (and at {len(changes) - 1} more)" if len(changes) > 1 else ""
        raise RunFolderError(
            f"{folder}: the data, or how scenario.toml divides them, changed since it began: {first}: {change}{more}; "
            f"put them back as they were, or {remedy}"
        )


def _change(kept: Fingerprint | None, found: Fingerprint | None) -> str:
    """What differs, in words; empty where nothing does."""
    if kept is None or found is None:
        return "is new" if kept is None else "is gone"
    if kept.get(_COUNT) != found.get(_COUNT):
        return f"{found.get(_COUNT)} images, were {kept.get(_COUNT)}"
    differing = [name for name in sorted(kept | found) if kept.get(name) != found.get(name)]
    if differing and _IN_ANY_ORDER not in differing:
        return "the order of the rows"
    return ", ".join(name for name in differing if name != _IN_ANY_ORDER)
