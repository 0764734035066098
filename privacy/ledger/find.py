"""Where ledgers lie below a path, and whether they are as they were written."""

from dataclasses import dataclass
from pathlib import Path

from medfed.errors import MedfedError, RunFolderError
from privacy.ledger.entry import Entry
from privacy.ledger.outbox import Outbox
from privacy.ledger.store import FILE, Ledger


def ledgers(path: Path) -> list[Ledger]:
    """The ledgers of a run, of a folder of sites, of one site, or one file; sorted by path.

    Raises:
        RunFolderError: there is none.
    """
    if path.name == FILE:
        found = [path] if path.is_file() else []
    else:
        patterns = (FILE, f"*/{FILE}", f"sites/*/{FILE}")
        found = sorted({file for pattern in patterns for file in path.glob(pattern)})
    if not found:
        remedy = "a run has one where noise is added at the sites; else its epsilons are in rounds.jsonl"
        raise RunFolderError(f"{path}: no ledger ({FILE}) here; {remedy}")
    return [Ledger(file.parent) for file in found]


@dataclass(frozen=True)
class Verdict:
    """What was found in one ledger; ``faults`` is empty where all is as it was written.

    ``unreleased``: stored updates of rounds without a row, as a crash just before the row leaves them. They never left.
    """

    ledger: Ledger
    entries: list[Entry]
    faults: list[str]
    unreleased: list[Path]


def verify(ledger: Ledger, head: str = "") -> Verdict:
    """Compute the chain anew, and the digests of the updates that are still kept.

    Args:
        ledger: which.
        head: the hash of its last row, or of any before it, as somebody wrote it down.
    """
    try:
        entries = ledger.entries()
    except MedfedError as error:
        return Verdict(ledger, [], [str(error)], [])
    faults = []
    if head and head not in {entry.hash for entry in entries}:
        faults.append(f"{ledger.path}: no row has the hash {head}: the rows up to it were written anew")
    changed, unreleased = _updates(ledger, entries)
    return Verdict(ledger, entries, faults + changed, unreleased)


def _updates(ledger: Ledger, entries: list[Entry]) -> tuple[list[str], list[Path]]:
    """What is wrong with the stored updates, and those that were not released."""
    faults, unreleased = [], []
    for run in sorted({entry.run for entry in entries}):
        outbox = Outbox(ledger.folder, run)
        rounds: dict[int, list[str]] = {}
        for entry in entries:
            if entry.run == run:
                rounds.setdefault(entry.release.round, []).append(entry.update)
        for path in outbox.files():
            known = rounds.get(int(path.stem), [])
            if not known:
                unreleased.append(path)
            elif all(outbox.get(int(path.stem), expected) is None for expected in known):
                faults.append(f"{path}: is not what the ledger says was released; it would not be sent again")
    return faults, unreleased
