"""Finished cells in one file, a line each, so that a benchmark that was stopped goes on where it was."""

import json
from pathlib import Path
from typing import Any

from simulations.benchmarks.leakage.case import Limits, key
from simulations.benchmarks.leakage.plan import Cell

Result = dict[str, Any]


class Store:
    """``cells.jsonl`` in a folder; a line that a crash cut short counts as not there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "cells.jsonl"
        self._found: dict[str, Result] = {}
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            self._found[json.dumps(entry["key"], sort_keys=True)] = entry["result"]

    def get(self, cell: Cell, limits: Limits) -> Result | None:
        """What came of the cell under exactly these limits."""
        return self._found.get(json.dumps(key(cell, limits), sort_keys=True))

    def add(self, cell: Cell, limits: Limits, result: Result) -> None:
        """Keep a finished cell."""
        entry = key(cell, limits)
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(("" if text.endswith("\n") or not text else "\n") + json.dumps({"key": entry, "result": result}))
            file.write("\n")
        self._found[json.dumps(entry, sort_keys=True)] = result
