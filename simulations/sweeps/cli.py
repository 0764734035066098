"""``medfed sweep``: a thin shell over :func:`simulations.sweeps.run.sweep`."""

import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from medfed import events
from medfed.errors import StopRequested
from simulations.progress import ConsoleProgress, interruptible

if TYPE_CHECKING:
    from medfed.report.sweep_results import SweepResult

app = typer.Typer(add_completion=False)

EXIT_DEGRADED = 3


class SweepProgress:
    """A line of its own per run of the sweep, and the live line of :class:`ConsoleProgress` below it."""

    def __init__(self, console: Console, verbose: bool) -> None:
        self._console = console
        self._verbose = verbose
        self._current = ConsoleProgress(console, verbose)
        self._stop = False

    def begin(self, number: int, total: int, name: str) -> None:
        """A run is about to start."""
        self.close()
        self._current = ConsoleProgress(self._console, self._verbose)
        self._console.print(f"run {number}/{total}: {name}", highlight=False, markup=False)
        if self._stop:
            self._current.request_stop()

    def request_stop(self) -> None:
        """End the sweep between two sites."""
        self._stop = True
        self._current.request_stop()

    def close(self) -> None:
        """Take the live display down."""
        self._current.close()

    def __call__(self, event: events.Event) -> None:
        """Show ``event``; raises StopRequested where a stop was asked for."""
        self._current(event)


@app.command()
def sweep(
    scenario: Annotated[
        Path, typer.Argument(help="A TOML file, or the name of a bundled scenario.", show_default=False)
    ],
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", metavar="KEY=A,B,...", help="Values of one key, e.g. strategy.name=fedavg,fedprox."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds per grid point, counted up from the scenario's.")] = 1,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the scenario for all runs."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The sweep's folder is made in here.")] = Path("runs"),
    quiet: Annotated[bool, typer.Option(help="No line per round.")] = False,
) -> None:
    """Run SCENARIO with every combination of the --grid values and every seed; one table, one page.

    The same command goes on with a sweep that was stopped: finished runs are kept.

    Exit codes: 0 completed, 2 bad input, 3 a run failed or is degraded, 4 a file named stop in the sweep's folder, 130
    Ctrl-C.
    """
    from medfed.results import Status
    from simulations.bundled import scenario_file
    from simulations.sweeps.run import sweep as run_sweep

    console = Console()
    progress = SweepProgress(console, verbose=not quiet)
    logging.getLogger("client").addHandler(logging.NullHandler())  # a fault's traceback is shown by the progress
    command = shlex.join(["medfed", *sys.argv[1:]])
    try:
        with interruptible(console, progress.request_stop):
            folder, result = run_sweep(
                scenario_file(scenario), grid or [], seeds=seeds, overrides=overrides or [], out=out,
                listener=progress, on_run=progress.begin, command=command,
            )  # fmt: skip
    except StopRequested as reason:
        progress.close()
        console.print(f"[yellow]STOPPED[/] {reason}; the same command goes on with what is left", highlight=False)
        raise typer.Exit(reason.exit_code) from reason
    finally:
        progress.close()
    _show(console, folder, result)
    if result.status is Status.DEGRADED:
        raise typer.Exit(EXIT_DEGRADED)


def _show(console: Console, folder: Path, result: "SweepResult") -> None:
    from medfed.report.sweep_console import sweep_table

    console.print(sweep_table(result))
    for line in [f"{run.folder}: {run.cause}" for run in result.runs if run.cause] + result.warnings:
        console.print(f"warning: {line}", style="yellow", highlight=False, markup=False)
    console.print(f"{result.status}  page: {folder / 'report.html'}", highlight=False, markup=False)
