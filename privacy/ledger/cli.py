"""``medfed privacy ledger`` and ``medfed privacy verify``: thin shells over :mod:`privacy.ledger`."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medfed.errors import ScenarioError

if TYPE_CHECKING:
    from privacy.ledger.entry import Entry
    from privacy.release import Relation, Unit

_RELATIONS: "tuple[Relation, ...]" = ("replace", "add_remove")
_PLACE = "A run, the folder of a site or of several sites, or a ledger.sqlite."

Place = Annotated[Path, typer.Argument(help=_PLACE, metavar="PATH", show_default=False)]


def ledger(path: Place, delta: Annotated[float, typer.Option(help="At which epsilon is stated.")] = 1e-5) -> None:
    """Print what was spent: by run and unit, and over all runs of a site; and the last hash, to be written down.

    Exit codes: 0, 2 no ledger there, 4 a ledger that was changed.
    """
    from rich.console import Console
    from rich.table import Table

    from privacy.ledger.find import ledgers
    from privacy.release import NEIGHBOURS, holding

    if not 0.0 < delta < 1.0:
        raise ScenarioError(f"--delta: expected a number above 0 and below 1, got {delta}")
    console = Console()
    for found in ledgers(path):
        entries = found.entries()
        table = Table("run", "unit", "mechanism", title=f"{found.site}: epsilon at delta {delta:g}, by {_by(entries)}")
        for heading in ("rounds", "releases", "steps", "one replaced", "one added or removed"):
            table.add_column(heading, justify="right")
        for run in dict.fromkeys(entry.run for entry in entries):
            _rows(table.add_row, run, [entry for entry in entries if entry.run == run], delta)
        table.add_section()
        _rows(table.add_row, "all runs", entries, delta)
        console.print(table)
        if any(math.isinf(_epsilon(entries, unit, delta)) for unit in _units(entries)):
            console.print("inf: among them are releases without noise for this unit, only for a smaller one")
        for unit in _units(entries):
            console.print(f"a budget per {unit} counts: {NEIGHBOURS[holding(unit)]}")
        if entries:
            last = entries[-1]
            console.print(f"row {last.number}, {last.time}: {last.hash}", highlight=False, soft_wrap=True)


def _rows(add: Callable[..., None], run: str, entries: "list[Entry]", delta: float) -> None:
    """A line per unit, of all releases, as a budget counts them."""
    releases = [entry.release for entry in entries]
    rounds = sorted({release.round for release in releases})
    for unit in _units(entries):
        add(
            run,
            unit,
            ", ".join(sorted({release.mechanism for release in releases})),
            f"{rounds[0]}-{rounds[-1]}" if len(rounds) > 1 else str(rounds[0]),
            str(len(releases)),
            str(sum(release.steps for release in releases)),
            *(f"{_epsilon(entries, unit, delta, relation):.4g}" for relation in _RELATIONS),
        )


def _units(entries: "list[Entry]") -> "list[Unit]":
    return list(dict.fromkeys(entry.release.unit for entry in entries))


def _epsilon(entries: "list[Entry]", unit: "Unit", delta: float, relation: "Relation | None" = None) -> float:
    from privacy.ledger.budget import spent

    return spent([entry.release for entry in entries], unit, delta, relation=relation)


def _by(entries: "list[Entry]") -> str:
    from medfed.registry import name_of
    from privacy.accountants import TIGHTEST
    from privacy.release import accountant_of

    kinds = ((entry.release,) for entry in entries)
    return " or ".join(sorted({name_of("accountant", accountant_of(kind, TIGHTEST)) for kind in kinds})) or "pld"


def verify(
    path: Place,
    head: Annotated[str, typer.Option(help="The last hash as it was written down.", metavar="HASH")] = "",
) -> None:
    """Find rows that were edited, removed or moved, and stored updates that are not what was released.

    Exit codes: 0 all is as it was written, 1 it is not, 2 no ledger there.
    """
    from rich.console import Console

    from privacy.ledger.find import ledgers
    from privacy.ledger.find import verify as check

    found = ledgers(path)
    if head and len(found) > 1:
        raise ScenarioError(f"--head: expected the path of one ledger, got {path} with {len(found)}")
    console, wrong = Console(soft_wrap=True), False
    for each in found:
        verdict = check(each, head)
        for fault in verdict.faults:
            wrong = True
            console.print(f"FAULT {fault}", highlight=False, markup=False)
        for file in verdict.unreleased:
            console.print(f"NOTE {file}: was not released: a crash came first", highlight=False, markup=False)
        if not verdict.faults:
            console.print(f"OK {each.site}: {len(verdict.entries)} rows", highlight=False, markup=False)
    if wrong:
        raise typer.Exit(1)
