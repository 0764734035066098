"""``medfed audit``: a thin shell over :func:`medfed.audit.run.audit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medfed.errors import ScenarioError

if TYPE_CHECKING:
    from medfed.audit.results import AuditReport
    from medfed.audit.verdicts import Verdict

app = typer.Typer(add_completion=False)

EXIT_VERDICT = 1
EXIT_BROKEN = 3

_COLORS = {"PASS": "green", "INCONCLUSIVE": "yellow", "NOT_TESTED": "dim"}


@app.command()
def audit(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.", metavar="RUN", show_default=False)],
    sections: Annotated[
        str, typer.Option(metavar="A,B", help="Only these sections (medfed list audit_sections); default: all.")
    ] = "",
    fail_on: Annotated[
        str, typer.Option(metavar="VERDICTS", help="End with exit code 1 on one of these, e.g. FAIL,INVALID.")
    ] = "",
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.FIELD=VALUE", help="A threshold or budget, e.g. performance.threshold=0.9."
        ),
    ] = None,
    attacks: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Attack images by this (medfed list attacks), in every section that has a field for it.",
        ),
    ] = "",
    seed: Annotated[int | None, typer.Option(help="Of the audit's own draws; default: the scenario's seed.")] = None,
) -> None:
    """Measure robustness and privacy of a finished run, and write RUN/audit/report.html with a verdict per section.

    Finished sections are kept: the same command goes on after Ctrl-C, and measures only what changed.

    Exit codes: 0 no verdict of --fail-on, 1 one of them, 2 bad input, 3 a section broke (ERROR), 130 Ctrl-C.
    """
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from medfed.audit.plan import in_every_section
    from medfed.audit.results import SectionResult
    from medfed.audit.run import audit as run_audit

    failing, chosen = _verdicts(fail_on), _listed(sections)
    attack = in_every_section("attack", attacks, chosen) if attacks else ()
    console = Console()

    def show(result: SectionResult) -> None:
        color = _COLORS.get(result.verdict, "red")
        console.print(f"[{color}]{result.verdict:12}[/]", end=" ")
        console.print(
            result.name, "broke: " + result.error.error if result.error else "", highlight=False, markup=False
        )

    columns = (
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("opening the run", total=1.0)
        found = run_audit(
            run,
            sections=chosen,
            overrides=(*attack, *(overrides or ())),
            seed=seed,
            progress=lambda what, done: bar.update(task, description=what, completed=done),
            on_section=show,
        )
    page = found.folder / "report.html"
    console.print(f"{found.report.verdict}  page: {page}", highlight=False, markup=False)
    code = exit_code(found.report, failing)
    if code:
        raise typer.Exit(code)


def exit_code(report: "AuditReport", fail_on: "frozenset[Verdict]") -> int:
    """0, or 1 where a section has one of ``fail_on``, or else 3 where one broke."""
    from medfed.audit.verdicts import Verdict

    verdicts = {section.verdict for section in report.sections}
    if verdicts & fail_on:
        return EXIT_VERDICT
    return EXIT_BROKEN if Verdict.ERROR in verdicts else 0


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _verdicts(text: str) -> "frozenset[Verdict]":
    from medfed.audit.verdicts import Verdict

    unknown = [word for word in _listed(text) if word not in set(Verdict)]
    if unknown:
        raise ScenarioError(f'--fail-on: unknown verdict "{unknown[0]}"; allowed: {", ".join(Verdict)}')
    return frozenset(map(Verdict, _listed(text)))
