"""Finished sections on disk, so that an audit that was stopped goes on, and one with another section added is short.

A section is kept with the key of all that its result depends on (:mod:`medfed.audit.inputs`), and is used again only
under the same key. Never kept are one that broke, one that was not tested, since what it lacked may be there the next
time, and one that says what the report is about.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from medfed.audit.results import Sample, SectionResult
from medfed.audit.tables import ESSENTIAL
from medfed.audit.verdicts import Verdict
from medfed.files import file_name, write_text_atomic


class KeptSection(BaseModel):
    """A finished section: its key, its wall and processor seconds, and what it found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    seconds: float
    cpu_seconds: float
    result: SectionResult
    samples: tuple[Sample, ...]


def to_keep(result: SectionResult) -> bool:
    """Whether a result may stand in a later audit."""
    return result.name not in ESSENTIAL and result.verdict not in (Verdict.ERROR, Verdict.NOT_TESTED)


def read_kept(folder: Path, name: str, key: str) -> KeptSection | None:
    """A section kept under this key; None where there is none, or the file is damaged."""
    try:
        found = KeptSection.model_validate_json((folder / f"{file_name(name)}.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return found if found.key == key and to_keep(found.result) else None


def write_kept(folder: Path, kept: KeptSection) -> None:
    """Keep a finished section.

    Raises:
        WriteError: it cannot be written.
    """
    write_text_atomic(folder / f"{file_name(kept.result.name)}.json", kept.model_dump_json(indent=1) + "\n")
