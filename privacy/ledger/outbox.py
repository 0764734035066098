"""What was released, byte for byte, so that it can be sent again: after a crash the same noise leaves, not fresh one.

One file per run and round. The file of the round before stays, since a server that crashed may ask for it again; older
ones are removed, because no server that has begun a round asks for the one before the last.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from medfed import payload
from medfed.errors import UpdateError
from medfed.files import file_name, replacing
from medfed.params import group, prefixed
from medfed.types import Update, Weights

_UPDATE = "update"
_EXTRA = "extra:"


class Outbox:
    """The released updates of one run under a site's ledger ``folder``."""

    def __init__(self, folder: Path, run: str) -> None:
        self.folder = folder / "released" / file_name(run)

    def put(self, round_number: int, update: Update, seconds: float) -> str:
        """Write ``update``, durably; returns its digest. Nothing of it has left yet.

        Raises:
            WriteError: it cannot be written.
        """
        with replacing(self._file(round_number)) as temporary, temporary.open("wb") as file:
            file.write(payload.pack(_tensors(update), _about(update) | {"seconds": seconds}))
            file.flush()
            os.fsync(file.fileno())
        return update_digest(update)

    def get(self, round_number: int, expected: str) -> tuple[Update, float] | None:
        """The update of a round and the seconds it took; None where it is lost, or is not the one with this digest."""
        path = self._file(round_number)
        if not path.exists():
            return None
        try:
            tensors, about = payload.unpack_all(memoryview(path.read_bytes()))
            seconds = float(about.pop("seconds"))
            if _digest(tensors, about) != expected:
                return None
        except (UpdateError, KeyError, ValueError, TypeError):
            return None
        extras = {name: group(tensors, _EXTRA + name) for name in about["extras"]}
        counts = about["num_examples"], about["num_steps"]
        return Update(about["site"], group(tensors, _UPDATE), *counts, about["metrics"], extras), seconds

    def forget_before(self, round_number: int) -> None:
        """Remove all but the newest of the rounds before this one."""
        for path in [path for path in self.files() if int(path.stem) < round_number][:-1]:
            path.unlink()

    def files(self) -> list[Path]:
        """Those that are there, by round."""
        found = (path for path in self.folder.glob("*.safetensors") if path.stem.isdigit())
        return sorted(found, key=lambda path: int(path.stem))

    def _file(self, round_number: int) -> Path:
        return self.folder / f"{round_number}.safetensors"


def digest(weights: Weights) -> str:
    """SHA-256 of tensors: names, types, shapes and values, in their order."""
    return _digest(weights, {})


def update_digest(update: Update) -> str:
    """SHA-256 of all of ``update``: its tensors, counts and metrics."""
    return _digest(_tensors(update), _about(update))


def _digest(tensors: Weights, about: dict[str, Any]) -> str:
    return hashlib.sha256(payload.pack(tensors, about)).hexdigest()


def _about(update: Update) -> dict[str, Any]:
    """All of it but tensors; seconds stand beside it, since they are other ones where the same round is run again."""
    return {
        "site": update.site,
        "extras": list(update.extras),
        "num_examples": update.num_examples,
        "num_steps": update.num_steps,
        "metrics": dict(update.metrics),
    }


def _tensors(update: Update) -> Weights:
    groups = prefixed(_UPDATE, update.tensors)
    for name, tensors in update.extras.items():
        groups |= prefixed(_EXTRA + name, tensors)
    return groups
