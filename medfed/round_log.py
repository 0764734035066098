"""``rounds.jsonl``: one line per complete round, the only file of a run that grows."""

import os
from pathlib import Path

from medfed.checkpoints import damaged
from medfed.files import write_text_atomic, writing
from medfed.results import RoundResult


class RoundLog:
    """The file at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def clear(self) -> None:
        """Make it, or make it empty.

        Raises:
            WriteError: it cannot be written.
        """
        write_text_atomic(self.path, "")

    def add(self, result: RoundResult) -> None:
        """Append one line.

        Raises:
            WriteError: it cannot be written.
        """
        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(result.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def first(self, count: int) -> list[RoundResult]:
        """The first ``count`` lines.

        Raises:
            RunFolderError: there are fewer, or they cannot be read.
        """
        try:
            lines = self.path.read_bytes().splitlines()  # a crash may have cut the last, within a letter
            found = [RoundResult.model_validate_json(line) for line in lines[:count]]
        except (OSError, ValueError) as error:
            raise damaged(self.path, str(error)) from error
        if [result.round for result in found] != list(range(1, count + 1)):
            raise damaged(self.path, f"expected rounds 1 to {count}, as the checkpoint says")
        return found

    def truncate(self, count: int) -> None:
        """Drop the lines after the first ``count``.

        Raises:
            RunFolderError: there are fewer. WriteError: it cannot be written.
        """
        write_text_atomic(self.path, "".join(result.model_dump_json() + "\n" for result in self.first(count)))
