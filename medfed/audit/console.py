"""An audit as a person watches it: the plan first, a bar, a line per section."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from medfed.audit.budget import Planned
from medfed.audit.results import SectionResult
from medfed.report.text import duration

_COLORS = {"PASS": "green", "INCONCLUSIVE": "yellow", "NOT_TESTED": "dim"}


class Watcher:
    """Hears of an audit, and prints.

    Attributes:
        console: where to.
        budget: seconds that the audit may take; None: no limit.
    """

    def __init__(self, console: Console, budget: float | None, bar: Progress) -> None:
        self.console, self.budget, self._bar = console, budget, bar
        self._task = bar.add_task("opening the run", total=1.0)

    def progress(self, what: str, done: float) -> None:
        """What is being done."""
        self._bar.update(self._task, description=what, completed=done)

    def plan(self, planned: Sequence[Planned], kept: frozenset[str]) -> None:
        """What will be done."""
        for line in plan_lines(planned, kept, self.budget):
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def section(self, result: SectionResult) -> None:
        """What came of a section."""
        color = _COLORS.get(result.verdict, "red")
        self.console.print(f"[{color}]{result.verdict:12}[/]", end=" ")
        broke = "broke: " + result.error.error if result.error else ""
        self.console.print(result.name, broke, highlight=False, markup=False)


@contextmanager
def watching(console: Console, budget: float | None) -> Iterator[Watcher]:
    """A watcher with a bar that goes away at the end."""
    columns: tuple[Any, ...] = (
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield Watcher(console, budget, bar)


def plan_lines(plan: Sequence[Planned], kept: frozenset[str], budget: float | None) -> Iterator[str]:
    """What will be done, one line per section, and how long that takes on the reference processor."""
    seconds = sum(each.seconds or 0.0 for each in plan if each.name not in kept)
    whole = sum(each.seconds or 0.0 for each in plan)
    limit = "without a limit" if budget is None else f"of {duration(budget)} (--budget)"
    more = "; more than the budget, since these sections were asked for" if budget and whole > budget else ""
    yield f"plan: about {duration(seconds)} {limit}, on one core of a current server, by counting{more}"
    for each in plan:
        if each.section is None:
            yield f"  {each.name:20} left out: {each.reason}"
        elif each.name in kept:
            yield f"  {each.name:20} finished before"
        else:
            takes = "does not say how long" if each.seconds is None else f"about {duration(each.seconds)}"
            less = ", ".join(f"{cut.setting} = {cut.used} (full: {cut.full})" for cut in each.reduced)
            yield f"  {each.name:20} {takes}" + (f"; with less: {less}" if less else "")
