"""Who was asked in each round, and how often: what was noised anew left as often as it was asked for.

A line of ``asked.jsonl`` in the run's folder is on the disk before sites are asked for what they noise, or before a
mean leaves that the server noised itself. A round that is run again, after a crash or a stop, has further lines. A site
that answers says how many releases its ledger has of the round, and a line keeps that where it is another number: a
smaller one, since it sends again what it sent before, or a larger one, since it lost that. A line before the first
question to a site keeps how it introduced itself: what it released is told though it never comes again.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from medfed.dialogue import SiteInfo
from medfed.files import sync_folder, writing

FILE = "asked.jsonl"
_MOST = 1000  # releases of a round that a site may state


class Asked(NamedTuple):
    """Who was asked in a round, whether they answered or not; a round that was run again may come again."""

    round: int
    sites: Sequence[str]


class AskedLog:
    """The file in the ``folder`` of a run, and what stands in it; ``infos``: how those who were asked came, by site."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._counts: Counter[tuple[int, str]] = Counter()
        self.infos: dict[str, SiteInfo] = {}
        for line in self._lines():
            self._count(line)

    def ask(self, round_number: int, sites: Sequence[str], infos: Mapping[str, SiteInfo]) -> None:
        """Say that ``sites``, which introduced themselves by ``infos``, are about to be asked.

        Raises:
            WriteError: it cannot be written; they must not be asked.
        """
        came = [asdict(infos[site]) for site in sites if self.infos.get(site) != infos[site]]
        if came:
            self._add({"came": came})
        if sites:
            self._add({"round": round_number, "sites": list(sites)})

    def answered(self, round_number: int, site: str, num_releases: float) -> None:
        """Say how often a site has released in a round, as its ledger has it; a number that cannot be is not believed.

        Raises:
            WriteError: it cannot be written.
        """
        if self._counts[round_number, site] != num_releases and 1 <= num_releases <= _MOST:
            self._add({"round": round_number, "site": site, "releases": int(num_releases)})

    @property
    def last(self) -> int:
        """The latest round in which anyone was asked; 0 before the first."""
        return max((number for number, _ in self._counts), default=0)

    def again(self) -> list[Asked]:
        """What was released beyond once by a site in a round: a value for each further time."""
        further = sorted(item for item in self._counts.items() if item[1] > 1)
        return [Asked(number, [site]) for (number, site), count in further for _ in range(count - 1)]

    def _count(self, line: dict[str, Any]) -> None:
        if "came" in line:
            came = [SiteInfo(**{**info, "class_counts": tuple(info["class_counts"])}) for info in line["came"]]
            self.infos |= {info.site: info for info in came}
        elif "releases" in line:
            self._counts[line["round"], line["site"]] = line["releases"]
        else:
            self._counts.update((line["round"], site) for site in line["sites"])

    def _lines(self) -> Iterable[dict[str, Any]]:
        """Whole lines; one that a crash cut was not on the disk, so that nobody was asked."""
        for line in self._path.read_bytes().splitlines() if self._path.exists() else ():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            yield found

    def _add(self, line: dict[str, Any]) -> None:
        with writing(self._path), self._path.open("ab") as file:
            file.write(b"\n" + json.dumps(line).encode() + b"\n")  # the first ends a line that a crash cut
            file.flush()
            os.fsync(file.fileno())
            sync_folder(self._path.parent)
        self._count(line)
