"""``medfed simulate``: a thin shell over :func:`simulations.run.simulate`."""

import json
import logging
import shlex
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console

from medfed.errors import StopRequested

if TYPE_CHECKING:
    from medfed.results import RunResult
    from simulations.engine.ray_engine import RayEngine

app = typer.Typer(add_completion=False)

EXIT_DEGRADED = 3


class Engine(StrEnum):
    """What runs the sites."""

    LOCAL = "local"
    RAY = "ray"


@app.command()
def simulate(
    scenario: Annotated[
        Path | None, typer.Argument(help="A TOML file, or the name of a bundled scenario.", show_default=False)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the scenario, e.g. training.rounds=3."),
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", metavar="SITE", help="Train without this site, test on it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder is made in here.", show_default="runs")] = None,
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
    device: Annotated[
        str, typer.Option(help="Where models are trained: cpu, cuda (all GPUs) or cuda:1. It changes the last bits.")
    ] = "cpu",
) -> None:
    """Train across the sites of SCENARIO in this machine, compare with local and pooled models, write a page.

    Exit codes: 0 completed, 2 bad input, 3 degraded (a site failed), 4 stopped (too few sites, or a file named stop in
    the run's folder), 130 Ctrl-C. A run that was stopped or killed goes on with --resume RUN.
    """
    from medfed.results import Status
    from simulations.progress import watching

    place = _Place(_where(engine, address), device)
    start = _prepare(scenario, resume, overrides or [], leave_out or [], out, overwrite, place)
    console = Console()
    logging.getLogger("client").addHandler(logging.NullHandler())  # a fault's traceback is shown by `watching`
    try:
        with watching(console, verbose=not quiet) as progress:
            result = start.run(listener=progress, command=shlex.join(["medfed", *sys.argv[1:]]))
    except StopRequested as reason:
        remedy = f"go on with: medfed simulate --resume {start.folder}"
        console.print(f"[yellow]STOPPED[/] {reason}; {remedy}", highlight=False)
        raise typer.Exit(reason.exit_code) from reason
    _show(console, result)
    if result.status is Status.DEGRADED:
        raise typer.Exit(EXIT_DEGRADED)


def _show(console: Console, result: "RunResult") -> None:
    from medfed.report.console import summary_table

    console.print(summary_table(result.summary))
    for warning in result.summary.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
    if privacy := result.summary.privacy:
        console.print(f"privacy: {privacy.sentence} {privacy.outlook}", highlight=False, markup=False)
    console.print(f"{result.status}  page: {result.folder / 'report.html'}", highlight=False, markup=False)


class _Place(NamedTuple):
    """Where sites train, as :func:`simulations.run.simulate` takes it."""

    engine: "RayEngine | None"
    device: str


class _Start(NamedTuple):
    """The run's folder, and what runs it, to be given a listener and the command."""

    folder: Path
    run: "Callable[..., RunResult]"


def _where(engine: Engine, address: str) -> "RayEngine | None":
    from simulations.engine.ray_engine import RayEngine

    if address and engine is not Engine.RAY:
        raise typer.BadParameter("--address is of a Ray cluster; give --engine ray with it")
    return RayEngine(address) if engine is Engine.RAY else None


def _prepare(
    scenario: Path | None,
    resume: Path | None,
    overrides: list[str],
    leave_out: list[str],
    out: Path | None,
    overwrite: bool,
    place: "_Place",
) -> _Start:
    """See which of the two ways was asked for, and read the scenario of a new run."""
    from medfed.config import load_scenario
    from simulations import run
    from simulations.bundled import scenario_file

    if leave_out:  # JSON, which is TOML as well
        overrides = [*overrides, f"federation.leave_out={json.dumps(leave_out, ensure_ascii=False)}"]
    if scenario is not None and resume is None:
        loaded = load_scenario(scenario_file(scenario), tuple(overrides))
        made_in = Path("runs") if out is None else out
        start = partial(run.simulate, loaded, out=made_in, overwrite=overwrite, **place._asdict())
        return _Start(made_in / loaded.name, start)
    if scenario is not None or resume is None or overrides or overwrite or out is not None:
        raise typer.BadParameter(
            "give either a SCENARIO, or --resume RUN without --set, --leave-out, --out and --overwrite"
        )
    return _Start(resume, partial(run.resume, resume, **place._asdict()))
