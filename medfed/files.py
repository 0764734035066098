"""Files that are there whole or not at all, and safe names for them."""

import hashlib
import os
from pathlib import Path
from urllib.parse import quote

_MAX_NAME = 120


def file_name(name: str) -> str:
    """Any name as a safe name of a file: percent-encoded, no leading dot, long ones cut and hashed."""
    safe = quote(name, safe=" ").replace(".", "%2E")
    if len(safe) > _MAX_NAME:
        safe = f"{safe[:_MAX_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return safe


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


def sync_folder(path: Path) -> None:
    """Make a rename inside ``path`` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
