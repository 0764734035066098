"""``medfed runs``: a thin shell over :func:`medfed.compare.overview.list_runs`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="A folder that holds runs.", metavar="DIR")] = Path("runs"),
    index: Annotated[
        bool, typer.Option("--index", help="Write DIR/index.html too, with a link to every page.")
    ] = False,
) -> None:
    """List the runs in a folder: how each ended, its headline figure, and the verdict of its audit.

    Exit codes: 0 listed, 2 no such folder.
    """
    from rich.console import Console

    from medfed.compare.overview import list_runs
    from medfed.files import write_text_atomic
    from medfed.report.runs_page import old_audits, render_runs, runs_table

    console = Console()
    found = list_runs(folder)
    if not found:
        console.print(f"no runs in {folder}", highlight=False, markup=False)
    else:
        console.print(runs_table(found))
        for line in old_audits(found):
            console.print(line, highlight=False, markup=False)
    if index:
        write_text_atomic(folder / "index.html", render_runs(found), errors="replace")
        console.print(f"page: {folder / 'index.html'}", highlight=False, markup=False)
