"""One process per folder. Oracle: a second holder, in this process and in another."""

import subprocess
import sys
from pathlib import Path

import pytest

from medfed.errors import RunFolderError
from medfed.lock import locked

HOLD = """
import sys
from pathlib import Path
from medfed.lock import locked
with locked(Path(sys.argv[1])):
    print("held")
"""


def test_a_second_process_is_refused_and_a_later_one_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with locked(tmp_path / "run"):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another process is running it" in refused.stderr
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "held\n"


def test_the_lock_is_given_back_after_a_fault(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFolderError, match="cannot be made: Not a directory"), locked(tmp_path / "file" / "run"):
        pass
