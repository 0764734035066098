"""``medfed audit``: a thin shell over :func:`medfed.audit.run.audit`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medfed.errors import ScenarioError

if TYPE_CHECKING:
    from medfed.audit.budget import Planned
    from medfed.audit.outside import OutsideModel
    from medfed.audit.results import AuditReport
    from medfed.audit.verdicts import Verdict

app = typer.Typer(add_completion=False)

EXIT_VERDICT = 1
EXIT_BROKEN = 3

_COLORS = {"PASS": "green", "INCONCLUSIVE": "yellow", "NOT_TESTED": "dim"}


@app.command()
def audit(
    run: Annotated[
        Path | None, typer.Argument(help="The folder of a finished run.", metavar="RUN", show_default=False)
    ] = None,
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
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="About how long it may take, such as 90s or 10m; default: no limit.")
    ] = "",
    pdf: Annotated[bool, typer.Option(help="Print the page into report.pdf, where there is a Chromium.")] = True,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="In place of RUN: weights that someone else trained.")
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="MANIFEST", help="With --model: the images.")] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --model: its task, classes, image size, architecture; default: scenario.toml beside it.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --model: where to write; default: MODEL-audit.")
    ] = None,
) -> None:
    """Measure robustness and privacy of a finished run, and write RUN/audit/report.html with a verdict per section.

    Finished sections are kept: the same command goes on after Ctrl-C, and measures only what changed. A model that was
    trained elsewhere: medfed audit --model FILE --data MANIFEST --scenario FILE; what needs a run is then not tested.

    Exit codes: 0 no verdict of --fail-on, 1 one of them, 2 bad input, 3 a section broke (ERROR), 130 Ctrl-C.
    """
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from medfed.audit.budget import parse_budget
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

    def announce(plan: "Sequence[Planned]", kept: frozenset[str]) -> None:
        for line in plan_lines(plan, kept):
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    columns = (
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("opening the run", total=1.0)
        found = run_audit(
            _subject(run, model, data, scenario, out),
            sections=chosen,
            overrides=(*attack, *(overrides or ())),
            seed=seed,
            budget=parse_budget(budget) if budget else None,
            pdf=pdf,
            progress=lambda what, done: bar.update(task, description=what, completed=done),
            on_plan=announce,
            on_section=show,
        )
    page = found.folder / "report.html"
    if pdf and found.no_pdf:
        console.print(found.no_pdf, highlight=False, markup=False)
    console.print(f"{found.report.verdict}  page: {page}", highlight=False, markup=False)
    code = exit_code(found.report, failing)
    if code:
        raise typer.Exit(code)


def plan_lines(plan: "Sequence[Planned]", kept: frozenset[str]) -> "Iterator[str]":
    """What will be done, one line per section, and how long that takes on the reference processor."""
    from medfed.report.text import duration

    seconds = sum(each.seconds or 0.0 for each in plan if each.name not in kept)
    yield f"plan: about {duration(seconds)} on one core of a current server, by counting"
    for each in plan:
        if each.section is None:
            yield f"  {each.name:20} left out: {each.reason}"
        elif each.name in kept:
            yield f"  {each.name:20} finished before"
        else:
            takes = "does not say how long" if each.seconds is None else f"about {duration(each.seconds)}"
            less = ", ".join(f"{key} = {value}" for key, value in each.changed.items())
            yield f"  {each.name:20} {takes}" + (f"; with less: {less}" if less else "")


def _subject(
    run: Path | None, model: Path | None, data: Path | None, scenario: Path | None, out: Path | None
) -> "Path | OutsideModel":
    """What is audited: a run's folder, or a model alone."""
    from medfed.audit.outside import OutsideModel

    if run is not None:
        if (model, data, scenario, out) != (None, None, None, None):
            raise ScenarioError("--model, --data, --scenario and --out are for a model without a run; leave RUN out")
        return run
    if model is None or data is None:
        raise ScenarioError("nothing to audit: give RUN, or --model FILE and --data MANIFEST")
    return OutsideModel(model, data, scenario, out)


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
