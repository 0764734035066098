"""The ledger's file: SQLite, rows are added and never touched again, on the disk before :meth:`Ledger.add` returns.

Beside it lies ``ledger.head``, the number and hash of the last row, which is how a file that lost its last rows, or is
gone, is told from one that never had them. It is there before the first row, and brought up after each, so that after a
crash between the two it is behind, which is no fault; that it is not there at all is one. It is written under the
database's lock: of two runs, the later row stays the last.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from medfed.errors import LedgerError, WriteError
from medfed.files import write_text_atomic, writing
from privacy.ledger.entry import COLUMNS, Entry, chained, first_hash, from_row, to_row
from privacy.release import Release

FILE = "ledger.sqlite"
HEAD = "ledger.head"
_WAIT_SECONDS = 60.0  # for another run of the same site that writes at this moment

_TABLES = f"""
CREATE TABLE site (name TEXT NOT NULL) STRICT;
CREATE TABLE releases (
    number INTEGER PRIMARY KEY, run TEXT NOT NULL, mechanism TEXT NOT NULL, sensitivity REAL NOT NULL,
    noise_multiplier REAL NOT NULL, sampling_rate REAL NOT NULL, steps INTEGER NOT NULL, unit TEXT NOT NULL,
    relation TEXT NOT NULL, round INTEGER NOT NULL, model TEXT NOT NULL, update_hash TEXT NOT NULL, time TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
{
    "".join(
        f"CREATE TRIGGER no_{action.lower()}_{table} BEFORE {action} ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'a ledger only grows'); END;"
        for action in ("UPDATE", "DELETE")
        for table in ("site", "releases")
    )
}
"""

Allow = Callable[[Sequence[Release]], None]
"""Raises where the ledger must not grow: is given every release so far."""


class Ledger:
    """The ledger of ``site`` in ``folder``; it is made with the first row. Without ``site``: whosever lies there."""

    def __init__(self, folder: Path, site: str = "") -> None:
        self.folder, self.site = folder, site

    @property
    def path(self) -> Path:
        """Of the SQLite file."""
        return self.folder / FILE

    def entries(self) -> list[Entry]:
        """All rows, whose chain holds.

        Raises:
            LedgerError: a row was edited, removed or moved, or the file is damaged or of another site.
        """
        head = self._head()  # before the rows: a run that writes at this moment makes them more than it says
        if not self.path.exists():
            return self._checked([], head)
        with self._open() as database:
            return self._read(database, head)

    def releases(self) -> list[Release]:
        """What was released, in order; see :meth:`entries`."""
        return [entry.release for entry in self.entries()]

    def of(self, run: str, round_number: int) -> list[Entry]:
        """The rows of one round of one run: more than one where what was released before was lost."""
        return [entry for entry in self.entries() if (entry.run, entry.release.round) == (run, round_number)]

    def add(self, run: str, release: Release, model: str, update: str, allow: Allow) -> Entry:
        """Write a row; it survives a power cut from here on.

        Args:
            run: which run.
            release: what is about to leave.
            model: SHA-256 of the weights it was trained from.
            update: SHA-256 of what is about to leave.
            allow: asked in the same transaction, so that two runs cannot spend the same rest of a budget.

        Raises:
            LedgerError: what is there does not hold together. WriteError: it cannot be written.
        """
        with writing(self.path):
            self.folder.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            if _is_empty(database):
                self._create(database)
            before = self._read(database, self._head())
            allow([entry.release for entry in before])
            if not before:
                self._write_head(0, first_hash(self.site))
            now = datetime.now(UTC).isoformat(timespec="seconds")
            entry = Entry(len(before) + 1, run, release, model, update, now, "")
            previous = before[-1].hash if before else first_hash(self.site)
            entry = replace(entry, hash=chained(previous, to_row(entry)))
            marks = ", ".join("?" * len(COLUMNS))
            database.execute(f"INSERT INTO releases ({', '.join(COLUMNS)}) VALUES ({marks})", to_row(entry))
            database.execute("COMMIT")
            database.execute("BEGIN IMMEDIATE")  # not before the row is there: a crash would leave a head without it
            last = database.execute("SELECT number, hash FROM releases ORDER BY number DESC LIMIT 1").fetchone()
            self._write_head(*last)
            database.execute("COMMIT")
        return entry

    def _write_head(self, number: int, last: str) -> None:
        """Never to a smaller number; for whoever holds the database's lock."""
        head = self._head()
        if head is None or number > head[0]:
            write_text_atomic(self.folder / HEAD, f"{number} {last}\n")

    def _create(self, database: sqlite3.Connection) -> None:
        for statement in _statements(_TABLES):
            database.execute(statement)
        database.execute("INSERT INTO site VALUES (?)", (self.site,))

    def _read(self, database: sqlite3.Connection, head: tuple[int, str] | None) -> list[Entry]:
        if _is_empty(database):  # the first row's transaction was cut
            return self._checked([], head)
        sites = [name for (name,) in database.execute("SELECT name FROM site")]
        if not self.site and len(sites) == 1:
            (self.site,) = sites
        if sites != [self.site]:
            raise LedgerError(f'{self.path}: is the ledger of {sites}; expected that of site "{self.site}"')
        rows = database.execute(f"SELECT {', '.join(COLUMNS)} FROM releases ORDER BY number")
        return self._checked([from_row(row) for row in rows], head)

    def _checked(self, entries: list[Entry], head: tuple[int, str] | None) -> list[Entry]:
        previous = first_hash(self.site)
        for number, entry in enumerate(entries, start=1):
            if entry.number != number or entry.hash != chained(previous, to_row(entry)):
                raise LedgerError(f"{self.path}: row {number} was edited, moved, or follows a removed one; {_REMEDY}")
            previous = entry.hash
        head = head or self._head()  # again: it may have been made with the first row since
        if head is None and entries:
            raise LedgerError(
                f"{self.path}: has rows, but no {HEAD} is beside it: its last rows may be gone; {_REMEDY}"
            )
        number, last = head or (0, "")
        if number > len(entries) or (number and entries[number - 1].hash != last):
            raise LedgerError(f"{self.path}: ends before row {number} of {HEAD}; {_REMEDY}")
        return entries

    def _head(self) -> tuple[int, str] | None:
        """Number and hash of the last row as the file beside says; None where it is not there."""
        path = self.folder / HEAD
        if not path.exists():
            return None
        number, _, found = path.read_text(encoding="utf-8").strip().partition(" ")
        if not number.isdigit():
            raise LedgerError(f"{path}: expected the number and the hash of a row; {_REMEDY}")
        return int(number), found

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)
        try:
            database.execute("PRAGMA synchronous = EXTRA")  # the row and the end of its journal are on the disk
            yield database
        except sqlite3.DatabaseError as error:
            kind = LedgerError if any(words in str(error) for words in _DAMAGE) else WriteError
            raise kind(f"{self.path}: {error}; {_REMEDY}") from error
        finally:
            database.close()


_DAMAGE = ("malformed", "not a database", "no such")
_REMEDY = "restore it from a backup and add what was released since; until then nothing more is released"


def _is_empty(database: sqlite3.Connection) -> bool:
    return database.execute("SELECT name FROM sqlite_master").fetchone() is None


def _statements(script: str) -> Iterator[str]:
    """One after the other: ``executescript`` would end the transaction."""
    part = ""
    for piece in script.split(";"):
        part += piece + ";"
        if sqlite3.complete_statement(part):
            if part.strip(" \n;"):
                yield part
            part = ""
