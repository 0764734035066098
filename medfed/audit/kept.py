"""Finished sections on disk, so that an audit that was stopped goes on, and one with another section added is short.

A section is kept with a key of all that its result depends on; it is used again only under the same key.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from medfed import __version__
from medfed.audit.results import RunIdentity, Sample, SectionResult
from medfed.files import file_name, write_text_atomic


class KeptSection(BaseModel):
    """A finished section: its key, its wall and processor seconds, and what it found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    seconds: float
    cpu_seconds: float
    result: SectionResult
    samples: tuple[Sample, ...]


def section_key(run: RunIdentity, recorded: Any, seed: int, name: str, settings: dict[str, Any]) -> str:
    """What a section's result depends on: model, data, scenario, what the run recorded, seed, thresholds, version."""
    parts = [__version__, run.model_dump(mode="json"), recorded, seed, name, settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_kept(folder: Path, name: str, key: str) -> KeptSection | None:
    """A section kept under this key; None where there is none, or the file is damaged."""
    try:
        found = KeptSection.model_validate_json((folder / f"{file_name(name)}.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return found if found.key == key else None


def write_kept(folder: Path, kept: KeptSection) -> None:
    """Keep a finished section.

    Raises:
        WriteError: it cannot be written.
    """
    write_text_atomic(folder / f"{file_name(kept.result.name)}.json", kept.model_dump_json(indent=1) + "\n")
