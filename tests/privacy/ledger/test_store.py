"""The ledger's file. Oracles: by hand, an editor's SQL, and hashes that an attacker would compute anew."""

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from medfed.errors import LedgerError, PrivacyBudgetError, WriteError
from privacy.ledger.entry import chained, first_hash, to_row
from privacy.ledger.store import FILE, HEAD, Ledger
from privacy.release import Release

ONE = Release("gaussian", 1.0, 4.5, 0.25, 20, "record", "add_remove", 1)


def allow(before: object) -> None:
    pass


def filled(folder: Path, count: int = 4) -> Ledger:
    ledger = Ledger(folder, "north")
    for number in range(1, count + 1):
        ledger.add("run-1", replace(ONE, round=number), f"model {number}", f"update {number}", allow)
    return ledger


def edit(ledger: Ledger, *statements: str) -> None:
    """What somebody with the file and an SQL shell can do."""
    database = sqlite3.connect(ledger.path)
    for trigger in ("no_update_releases", "no_delete_releases"):
        database.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def test_what_is_added_is_there_in_order(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "new" / "folder")
    assert ledger.releases() == [replace(ONE, round=number) for number in (1, 2, 3, 4)]
    assert [(entry.number, entry.run, entry.model, entry.update) for entry in ledger.entries()][2] == (
        3,
        "run-1",
        "model 3",
        "update 3",
    )
    assert [entry.number for entry in ledger.of("run-1", 2)] == [2]
    assert ledger.of("run-2", 2) == []
    assert Ledger(tmp_path / "none", "north").entries() == []


def test_the_chain_is_made_of_the_rows(tmp_path: Path) -> None:
    """Computed anew, from the site's name on; whole numbers given for floating-point ones are the same row."""
    ledger = Ledger(tmp_path, "north")
    ledger.add("run-1", replace(ONE, sensitivity=1), "m", "u", allow)
    previous = first_hash("north")
    for entry in filled(tmp_path / "other").entries():
        previous = chained(previous, to_row(entry))
        assert entry.hash == previous
    assert ledger.entries()[0].release == ONE
    assert len({first_hash("north"), first_hash("south")}) == 2


@pytest.mark.parametrize("action", ["UPDATE releases SET steps = 1", "DELETE FROM releases", "DELETE FROM site"])
def test_the_file_itself_refuses_changes(tmp_path: Path, action: str) -> None:
    database = sqlite3.connect(filled(tmp_path).path)
    with pytest.raises(sqlite3.IntegrityError, match="a ledger only grows"):
        database.execute(action)
    database.close()


CHANGES = {
    "less spent": ("UPDATE releases SET steps = 1 WHERE number = 2",),
    "more noise": ("UPDATE releases SET noise_multiplier = 9.0 WHERE number = 4",),
    "another unit": ("UPDATE releases SET unit = 'patient' WHERE number = 1",),
    "another time": ("UPDATE releases SET time = '2020-01-01T00:00:00+00:00' WHERE number = 3",),
    "another update": ("UPDATE releases SET update_hash = 'x' WHERE number = 3",),
    "first row removed": ("DELETE FROM releases WHERE number = 1",),
    "row removed": ("DELETE FROM releases WHERE number = 2",),
    "row removed, others moved up": (
        "DELETE FROM releases WHERE number = 2",
        "UPDATE releases SET number = 2 WHERE number = 3",
        "UPDATE releases SET number = 3 WHERE number = 4",
    ),
    "last row removed": ("DELETE FROM releases WHERE number = 4",),
    "all rows removed": ("DELETE FROM releases",),
    "rows swapped": (
        "UPDATE releases SET number = 9 WHERE number = 2",
        "UPDATE releases SET number = 2 WHERE number = 3",
        "UPDATE releases SET number = 3 WHERE number = 9",
    ),
    "row added without its hash": (
        "INSERT INTO releases SELECT 5, run, mechanism, sensitivity, noise_multiplier, sampling_rate, steps, unit, "
        "relation, round, model, update_hash, time, hash FROM releases WHERE number = 4",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_row_that_was_edited_removed_or_moved_is_found(tmp_path: Path, change: str) -> None:
    ledger = filled(tmp_path)
    edit(ledger, *CHANGES[change])
    with pytest.raises(LedgerError, match=r"ledger\.sqlite: (row \d was edited, moved|ends before row 4)"):
        ledger.entries()
    with pytest.raises(LedgerError):
        ledger.add("run-1", replace(ONE, round=5), "m", "u", allow)


def test_hashes_that_are_computed_anew_are_found_by_the_last_one(tmp_path: Path) -> None:
    """Beside it, or, where that was rewritten too, on paper: the chain alone would hold."""
    ledger = filled(tmp_path)
    noted = ledger.entries()[-1].hash
    previous, changes = first_hash("north"), []
    for entry in ledger.entries():
        row = to_row(replace(entry, release=replace(entry.release, steps=1)))
        previous = chained(previous, row)
        changes.append(f"UPDATE releases SET steps = 1, hash = '{previous}' WHERE number = {entry.number}")
    edit(ledger, *changes)
    with pytest.raises(LedgerError, match="ends before row 4"):
        ledger.entries()
    (tmp_path / HEAD).write_text(f"4 {previous}\n")
    assert ledger.entries()[-1].hash == previous != noted


def test_a_file_that_is_gone_or_of_an_older_backup_is_found(tmp_path: Path) -> None:
    ledger = filled(tmp_path, 2)
    shutil.copy(ledger.path, tmp_path / "backup")
    ledger.add("run-1", replace(ONE, round=3), "m", "u", allow)
    shutil.copy(tmp_path / "backup", ledger.path)
    with pytest.raises(LedgerError, match="ends before row 3"):
        ledger.entries()
    ledger.path.unlink()
    with pytest.raises(LedgerError, match="ends before row 3"):
        ledger.entries()


def test_a_crash_between_row_and_head_costs_nothing(tmp_path: Path) -> None:
    ledger = filled(tmp_path, 2)
    before = (tmp_path / HEAD).read_text()
    ledger.add("run-1", replace(ONE, round=3), "m", "u", allow)
    (tmp_path / HEAD).write_text(before)
    assert len(ledger.entries()) == 3
    ledger.add("run-1", replace(ONE, round=4), "m", "u", allow)
    assert (tmp_path / HEAD).read_text().startswith("4 ")


def test_what_is_no_ledger_or_of_another_site_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "north")
    with pytest.raises(LedgerError, match=r"is the ledger of \['north'\]; expected that of site \"south\""):
        Ledger(tmp_path / "north", "south").entries()
    (tmp_path / FILE).write_text("no database, but as long as the header of one is, a hundred bytes " * 3)
    with pytest.raises(LedgerError, match="not a database"):
        Ledger(tmp_path, "north").entries()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / FILE).touch()  # made, and nothing written: a crash in the first row
    assert Ledger(tmp_path / "cut", "north").entries() == []
    assert filled(tmp_path / "cut", 1).entries()[0].number == 1


def test_a_refusal_leaves_no_row(tmp_path: Path) -> None:
    """It is asked with all that is there, in the same transaction."""
    ledger, seen = filled(tmp_path, 2), []

    def refuse(before: object) -> None:
        seen.append(before)
        raise PrivacyBudgetError("enough")

    with pytest.raises(PrivacyBudgetError):
        ledger.add("run-1", replace(ONE, round=3), "m", "u", refuse)
    assert [len(before) for before in seen] == [2]
    assert len(ledger.entries()) == 2
    with pytest.raises(PrivacyBudgetError):
        Ledger(tmp_path / "first", "north").add("run-1", ONE, "m", "u", refuse)
    assert Ledger(tmp_path / "first", "north").entries() == []


def test_where_nothing_can_be_written_nothing_is_released(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot be written"):
        Ledger(tmp_path / "file", "north").add("run-1", ONE, "m", "u", allow)


def test_a_table_or_a_head_that_is_damaged_is_told(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    (tmp_path / HEAD).write_text("four\n")
    with pytest.raises(LedgerError, match="expected the number and the hash of a row"):
        ledger.entries()
    (tmp_path / HEAD).write_text("0 \n")
    edit(ledger, "DROP TABLE releases")
    with pytest.raises(LedgerError, match="no such table"):
        ledger.entries()


def test_a_row_that_another_run_writes_meanwhile_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes between the reading of the head and that of the rows."""
    ledger, other = filled(tmp_path, 2), Ledger(tmp_path, "north")
    open_file, rows = ledger._open, []

    def late():
        if not rows:
            rows.append(other.add("run-2", ONE, "m", "u", allow))
        return open_file()

    monkeypatch.setattr(ledger, "_open", late)
    assert [entry.run for entry in ledger.entries()] == ["run-1", "run-1", "run-2"]


@pytest.mark.parametrize("left", [1, 3, 4])
def test_a_head_that_is_gone_is_found(tmp_path: Path, left: int) -> None:
    """With the last rows, or alone: which of the two cannot be told."""
    ledger = filled(tmp_path)
    edit(ledger, f"DELETE FROM releases WHERE number > {left}")
    (tmp_path / HEAD).unlink()
    with pytest.raises(LedgerError, match=r"has rows, but no ledger\.head"):
        ledger.entries()


def test_a_crash_between_the_first_row_and_its_head_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, write = Ledger(tmp_path, "north"), Ledger._write_head

    def crash(self: Ledger, number: int, last: str) -> None:
        if number:
            raise KeyboardInterrupt
        write(self, number, last)

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "_write_head", crash)
        with pytest.raises(KeyboardInterrupt):
            ledger.add("run-1", ONE, "m", "u", allow)
    assert len(ledger.entries()) == 1
    assert len(filled(tmp_path, 1).entries()) == 2


def test_of_two_runs_that_write_the_later_row_stays_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run's row and head come before the head of this one is written."""
    ledger, write, rows = filled(tmp_path, 1), Ledger._write_head, []

    def late(self: Ledger, number: int, last: str) -> None:
        if not rows:
            rows.append(number)
            write(self, number + 1, "of a row that another run has added")
        write(self, number, last)

    monkeypatch.setattr(Ledger, "_write_head", late)
    ledger.add("run-1", replace(ONE, round=2), "m", "u", allow)
    assert (tmp_path / HEAD).read_text().startswith("3 ")
