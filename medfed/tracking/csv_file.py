"""One row per round and site in RUN/metrics.csv, for a spreadsheet or pandas."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medfed.files import write_text_atomic
from medfed.registry import plugin
from medfed.results import METRICS, RoundResult, SiteRound
from medfed.tracking.contract import TrackedRun

FILE = "metrics.csv"
_SITE = ("num_examples", "num_steps", "loss", "seconds")
_ROUND = ("seconds", "bytes_up", "bytes_down", "epsilon")
COLUMNS = (
    "round",
    "site",
    *_SITE,
    *(f"val_{metric}" for metric in METRICS),
    "failed",
    *(f"round_{name}" for name in _ROUND),
)


@dataclass(frozen=True)
class _File:
    path: Path

    def add(self, result: RoundResult) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_text(_rows(result)))

    def close(self) -> None:
        """Nothing is open between two rounds."""


@plugin
class Csv:
    """Writes metrics.csv: one row per round and site.

    Columns that start with ``round_`` are of the whole round and the same in all its rows; bytes are counted by round.
    """

    def check(self) -> None:
        """It needs nothing."""

    def __call__(self, run: TrackedRun, past: Sequence[RoundResult]) -> _File:
        """Write the file anew with all rounds from before: what a crash left of a row is gone."""
        file = _File(run.folder / FILE)
        write_text_atomic(file.path, _text([list(COLUMNS), *(row for result in past for row in _rows(result))]))
        return file


def _rows(result: RoundResult) -> list[list[object]]:
    causes = {failure.site: failure.cause for failure in result.failed}
    whole = [getattr(result, name) for name in _ROUND]
    found: list[list[object]] = []
    for site in sorted(result.sites.keys() | causes.keys()):
        values = result.sites.get(site, SiteRound())
        metrics = [values.val.get(metric) for metric in METRICS]
        own = [getattr(values, name) for name in _SITE]
        found.append([result.round, site, *own, *metrics, causes.get(site), *whole])
    return found


def _text(rows: Iterable[Sequence[object]]) -> str:
    """CSV; what is undefined is an empty field."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
