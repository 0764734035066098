"""Text files that are there whole or not at all."""

import os
from pathlib import Path


def write_text_atomic(path: Path, text: str, errors: str = "strict") -> None:
    """Write ``text`` in UTF-8 so that a crash leaves the old file or the new one (temporary file, fsync, rename).

    ``errors`` says what becomes of what UTF-8 cannot hold, as in :meth:`str.encode`.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(text.encode("utf-8", errors))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
