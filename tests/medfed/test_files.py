"""Whole files or none. Oracle: the bytes on disk after a write that fails half-way."""

import os
from pathlib import Path

import pytest

from medfed.errors import WriteError
from medfed.files import write_text_atomic


def test_what_is_written_is_there_and_nothing_else(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a.json", "größer\n")
    assert (tmp_path / "a.json").read_bytes() == "größer\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left")

    (tmp_path / "a.json").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"a\.json: cannot be written: no space left; make room"):
        write_text_atomic(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
