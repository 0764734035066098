"""The manifest: a CSV file with one row per image, UTF-8, comma-separated, paths relative to its folder.

Columns ``image, mask, label, site, split, patient`` (or other names, by ``[data.columns]``); only ``image`` is
required here. Every further column is kept as a subgroup.
"""

import csv
import difflib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from medfed.data.readers import FolderStore
from medfed.data.table import SINGLE_SITE, Record, Table
from medfed.errors import DataError
from medfed.sections import Columns
from medfed.types import SPLITS, Split

_SITE_NAME = re.compile(r"[^/\\\x00-\x1f]{1,64}")  # a site's name becomes a file name


@dataclass(frozen=True)
class _Header:
    """Which column plays which part; None where the file has no such column."""

    names: tuple[str, ...]
    parts: dict[str, str | None]

    @property
    def subgroups(self) -> tuple[str, ...]:
        taken = set(self.parts.values())
        return tuple(name for name in self.names if name not in taken)


def read_manifest(path: Path, columns: Columns) -> Table:
    """Read a manifest.

    Raises:
        DataError: not readable as CSV, a column is missing, or a row is ragged or names an impossible value.
    """
    rows = _rows(path)
    if not rows:
        raise DataError(f'{path}: the manifest is empty; expected a header line with at least the column "image"')
    header = _header(path, rows[0][1], columns)
    if len(rows) == 1:
        raise DataError(f"{path}: the manifest has a header but no rows; expected one row per image")
    records = tuple(_record(path, line, cells, header) for line, cells in rows[1:])
    warnings = []
    if header.parts["site"] is None:
        warnings.append(
            f'the manifest has no column "{columns.site}"; all images are taken as one site, "{SINGLE_SITE}"'
        )
    return Table(path, records, FolderStore(path.parent), header.names, tuple(warnings))


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """All lines that are not blank, each with its number."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            return [(reader.line_num, cells) for cells in reader if cells]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); save the manifest as CSV UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path}: not a valid CSV file: {error}; check quotes and line ends") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; expected a CSV manifest") from error


def _header(path: Path, cells: list[str], columns: Columns) -> _Header:
    names = tuple(cell.strip() for cell in cells)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f'{path}: column "{repeated[0]}" stands twice in the header; rename one of them')
    defaults = Columns().model_dump()
    parts: dict[str, str | None] = {}
    for part, name in columns.model_dump().items():
        parts[part] = name if name in names else None
        if name not in names and (part == "image" or name != defaults[part]):
            raise missing_column(path, name, names, part)
    if parts["patient"] is None and "group" in names and columns.patient == defaults["patient"]:
        parts["patient"] = "group"
    return _Header(names, parts)


def missing_column(path: Path, name: str, names: tuple[str, ...], part: str) -> DataError:
    """The error for a column that is needed and not there."""
    hint = " (is the separator a comma?)" if len(names) == 1 and re.search(r"[;\t]", names[0]) else ""
    near = difflib.get_close_matches(name, names, n=1)
    return DataError(
        f'{path}: no column "{name}"; the file has: {", ".join(names)}{hint}; '
        f'name yours in the scenario under [data.columns]: {part} = "{near[0] if near else "..."}", '
        f"in medfed data check by --column {part}={near[0] if near else '...'}"
    )


def _record(path: Path, line: int, cells: list[str], header: _Header) -> Record:
    if len(cells) != len(header.names):
        raise DataError(f"{path}, row {line}: {len(cells)} cells, the header has {len(header.names)}; mend the row")
    values = dict(zip(header.names, (cell.strip() for cell in cells), strict=True))

    def cell(part: str) -> str | None:
        name = header.parts[part]
        return (values[name] or None) if name is not None else None

    return Record(
        image=_image(path, line, cell("image")),
        mask=cell("mask"),
        label=cell("label"),
        site=SINGLE_SITE if header.parts["site"] is None else _site(path, line, cell("site")),
        split=None if header.parts["split"] is None else _split(path, line, cell("split")),
        patient=cell("patient"),
        row=line,
        subgroups={name: values[name] for name in header.subgroups},
    )


def _image(path: Path, line: int, value: str | None) -> str:
    if value is None:
        raise DataError(f"{path}, row {line}: the image cell is empty; expected a path, relative to the manifest")
    return value


def _site(path: Path, line: int, value: str | None) -> str:
    if value is None or not _SITE_NAME.fullmatch(value) or value.startswith("."):
        raise DataError(
            f'{path}, row {line}: site "{value or ""}" is not a name; expected 1 to 64 characters, '
            "no slash, not starting with a dot"
        )
    return value


def _split(path: Path, line: int, value: str | None) -> Split:
    for split in SPLITS:
        if value == split:
            return split
    raise DataError(f'{path}, row {line}: split "{value or ""}"; expected one of: {", ".join(SPLITS)}')
