"""The folder of a run -> :class:`RunData`; what is missing or damaged becomes a note; only the summary is needed."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medfed.errors import RunFolderError
from medfed.results import RoundResult, Summary


@dataclass(frozen=True)
class RunData:
    """Everything that a page shows. ``notes`` say which parts of the folder could not be read."""

    folder: Path
    summary: Summary
    rounds: list[RoundResult] = field(default_factory=list)
    scenario: str | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def load_run(folder: Path) -> RunData:
    """Read a run folder.

    Raises:
        RunFolderError: ``summary.json`` is missing or not as the schema says.
    """
    path = folder / "summary.json"
    try:
        summary = Summary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read: {error.strerror}; give the folder of a run") from error
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"]) or "(file)"
        raise RunFolderError(f'{path}: key "{key}": {fault["msg"]}; run the scenario again with --overwrite') from error
    notes: list[str] = []
    rounds = _rounds(folder / "rounds.jsonl", notes)
    environment = _environment(folder / "environment.json", notes)
    return RunData(folder, summary, rounds, _text(folder / "scenario.toml", notes), environment, notes)


def _text(path: Path, notes: list[str]) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        notes.append(f"{path.name} is missing from the run folder.")
        return None


def _rounds(path: Path, notes: list[str]) -> list[RoundResult]:
    rounds: dict[int, RoundResult] = {}
    for position, line in enumerate((_text(path, notes) or "").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            result = RoundResult.model_validate_json(line)
        except ValidationError:
            notes.append(f"{path.name}, line {position}: not a readable round (left out).")
        else:
            rounds[result.round] = result
    return [rounds[key] for key in sorted(rounds)]


def _environment(path: Path, notes: list[str]) -> dict[str, Any]:
    text = _text(path, notes)
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        notes.append(f"{path.name}: not valid JSON (left out).")
        return {}
    return value if isinstance(value, dict) else {}
