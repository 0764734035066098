"""``medfed compare``: a thin shell over :func:`medfed.compare.run.compare_runs`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs; the first is the reference.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the page is written.")] = Path("comparison"),
) -> None:
    """Compare finished runs of one task: what is better or worse than in the first run, beyond chance.

    Where the test images are the same, every model is tested on them again and the differences are paired.

    Exit codes: 0 compared, 2 bad input, 130 Ctrl-C.
    """
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from medfed.compare.run import compare_runs
    from medfed.files import write_text_atomic
    from medfed.report.compare_console import comparison_table
    from medfed.report.compare_page import render_comparison, sentences
    from medfed.results import write_json

    console = Console()
    columns = (
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading the runs", total=1.0)
        found = compare_runs(runs, lambda what, done: bar.update(task, description=what, completed=done))
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "comparison.json", found)
    write_text_atomic(out / "report.html", render_comparison(found), errors="replace")
    console.print(comparison_table(found))
    for sentence in sentences(found):
        console.print(sentence, highlight=False, markup=False)
    console.print(f"page: {out / 'report.html'}", highlight=False, markup=False)
