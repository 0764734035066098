"""Files that are there whole or not at all, and safe names for them."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from safetensors import SafetensorError

from medfed.errors import WriteError

_MAX_NAME = 120


def file_name(name: str) -> str:
    """Any name as a safe name of a file: percent-encoded, no leading dot, long ones cut and hashed."""
    safe = quote(name, safe=" ").replace(".", "%2E")
    if len(safe) > _MAX_NAME:
        safe = f"{safe[:_MAX_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return safe


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one line that ``path`` could not be written, whichever library tried.

    Raises:
        WriteError: in the place of an ``OSError`` or ``SafetensorError`` inside the block.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        remedy = "make room on that disk, or make it writable; what was finished is kept (--resume)"
        raise WriteError(f"{path}: cannot be written: {cause}; {remedy}") from error


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary file that takes the place of ``path`` when the block ends; after a failure the old one is there.

    ``durable``: its name survives a power cut as well; the block must have synced what is in it.

    Raises:
        WriteError: it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
            if durable:
                sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # what a full disk took of it would keep the disk full
            temporary.unlink(missing_ok=True)
        raise


def write_text_atomic(path: Path, text: str, errors: str = "strict") -> None:
    """Write ``text`` in UTF-8 so that a crash leaves the old file or the new one (temporary file, fsync, rename).

    ``errors`` says what becomes of what UTF-8 cannot hold, as in :meth:`str.encode`.

    Raises:
        WriteError: it cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(text.encode("utf-8", errors))
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make a rename inside ``path`` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
