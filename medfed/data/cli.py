"""``medfed data``: look at a data set before anything is trained on it."""

from typing import TYPE_CHECKING, Annotated

import typer

from medfed.errors import DataError

if TYPE_CHECKING:
    from medfed.data.check import Finding
    from medfed.data.table import Table
    from medfed.sections import Columns

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Look at a data set before anything is trained on it."
)


@app.callback()
def data() -> None:
    """Look at a data set before anything is trained on it."""


@app.command()
def check(
    manifest: Annotated[str, typer.Argument(help="A manifest (.csv) or MedMNIST file (.npz).", metavar="MANIFEST")],
    column: Annotated[
        list[str] | None,
        typer.Option(help="What a part is called in the file, e.g. patient=lesion_id.", metavar="PART=NAME"),
    ] = None,
    classes: Annotated[str, typer.Option(help="The class names in label order: a,b,c.", metavar="NAMES")] = "",
    min_images: Annotated[int, typer.Option(min=1, help="Sites with fewer images are reported.")] = 20,
) -> None:
    """Find unusable images, wrong labels, leaks between splits, and sites that are too small.

    Exit code: 0 nothing or only warnings, 1 errors, 2 the file cannot be read or the command is wrong.
    """
    from medfed.data.check import run_checks
    from medfed.data.location import resolve_path
    from medfed.data.scan import scan
    from medfed.data.sources import read_table

    names = tuple(name.strip() for name in classes.split(",")) if classes else None
    table = read_table(resolve_path(manifest), _columns(column or []))
    digests, faults = scan(table)
    findings = run_checks(table.records, digests, faults, names, min_images)
    _print(table, findings)
    raise typer.Exit(1 if any(finding.level == "error" for finding in findings) else 0)


def _columns(assignments: list[str]) -> "Columns":
    from medfed.sections import Columns

    parts = tuple(Columns.model_fields)
    chosen: dict[str, str] = {}
    for assignment in assignments:
        part, _, name = assignment.partition("=")
        if part not in parts or not name:
            raise DataError(f'--column "{assignment}": expected PART=NAME, PART one of: {", ".join(parts)}')
        chosen[part] = name
    return Columns(**chosen)


def _print(table: "Table", findings: tuple["Finding", ...]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    console = Console()
    sites = len({record.site for record in table.records})
    console.print(f"{table.path}: {len(table.records)} images, {sites} site{'s' if sites > 1 else ''}", highlight=False)
    for warning in table.warnings:
        console.print(f"warning: {warning}", highlight=False, markup=False)
    if not findings:
        console.print("nothing found")
        return
    grid = RichTable("level", show_lines=True)
    for heading in ("what (where): how many, and an example", "remedy"):
        grid.add_column(heading, overflow="fold")  # wide enough for a key on 80 columns; never cut
    for finding in findings:
        color = "red" if finding.level == "error" else "yellow"
        cells = (f"{finding.what} ({finding.where}): {finding.count}\n{finding.example}", finding.remedy)
        grid.add_row(f"[{color}]{finding.level}[/{color}]", *(escape(cell) for cell in cells))
    console.print(grid)
    errors = sum(finding.level == "error" for finding in findings)
    console.print(f"{errors} errors, {len(findings) - errors} warnings", highlight=False)
