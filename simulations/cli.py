"""``medfed simulate``: a thin shell over :func:`simulations.run.simulate`."""

import json
import logging
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from medfed.errors import StopRequested

app = typer.Typer(add_completion=False)

EXIT_DEGRADED = 3


class Engine(StrEnum):
    """What runs the sites."""

    LOCAL = "local"
    RAY = "ray"


@app.command()
def simulate(
    scenario: Annotated[Path | None, typer.Argument(help="The scenario, a TOML file.", show_default=False)] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the scenario, e.g. training.rounds=3."),
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", metavar="SITE", help="Train without this site, test on it.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run's folder is made in here.")] = Path("runs"),
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with the run in this folder, which was stopped or killed.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier run of the same name.")] = False,
    quiet: Annotated[bool, typer.Option(help="No line per round.")] = False,
    engine: Annotated[
        Engine, typer.Option(help="Where sites train: in processes of this machine, or on Ray. It changes no number.")
    ] = Engine.LOCAL,
    address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The head of a Ray cluster; without it Ray runs on this machine.")
    ] = "",
) -> None:
    """Train across the sites of SCENARIO in this machine, compare with local and pooled models, write a page.

    Exit codes: 0 completed, 2 bad input, 3 degraded (a site failed), 4 stopped (too few sites, or a file named stop in
    the run's folder), 130 Ctrl-C. A run that was stopped or killed goes on with --resume RUN.
    """
    from medfed.config import load_scenario
    from medfed.report.console import summary_table
    from medfed.results import Status
    from medfed.run_folder import read_scenario
    from simulations import run
    from simulations.engine.ray_engine import RayEngine
    from simulations.progress import watching

    if address and engine is not Engine.RAY:
        raise typer.BadParameter("--address is of a Ray cluster; give --engine ray with it")
    where = RayEngine(address) if engine is Engine.RAY else None
    changes = list(overrides or [])
    if leave_out:
        changes.append(f"federation.leave_out={json.dumps(leave_out, ensure_ascii=False)}")  # is TOML as well
    if (scenario is None) == (resume is None) or (resume and (changes or overwrite)):
        raise typer.BadParameter("give either a SCENARIO, or --resume RUN without --set, --leave-out and --overwrite")
    loaded = load_scenario(scenario, tuple(changes)) if scenario else read_scenario(resume or Path())
    folder = resume or out / loaded.name
    console = Console()
    logging.getLogger("client").addHandler(logging.NullHandler())  # a fault's traceback is shown by `watching`
    command = shlex.join(["medfed", *sys.argv[1:]])
    try:
        with watching(console, verbose=not quiet) as progress:
            if resume:
                result = run.resume(folder, listener=progress, command=command, engine=where)
            else:
                result = run.simulate(
                    loaded, out=out, overwrite=overwrite, listener=progress, command=command, engine=where
                )
    except StopRequested as reason:
        console.print(f"[yellow]STOPPED[/] {reason}; go on with: medfed simulate --resume {folder}", highlight=False)
        raise typer.Exit(reason.exit_code) from reason
    console.print(summary_table(result.summary))
    for warning in result.summary.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
    console.print(f"{result.status}  page: {result.folder / 'report.html'}", highlight=False, markup=False)
    if result.status is Status.DEGRADED:
        raise typer.Exit(EXIT_DEGRADED)
