"""``medfed audit``: a thin shell over :func:`medfed.audit.run.audit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medfed.errors import ScenarioError

if TYPE_CHECKING:
    from medfed.audit.outside import OutsideModel
    from medfed.audit.results import AuditReport
    from medfed.audit.verdicts import Verdict

app = typer.Typer(add_completion=False)

EXIT_VERDICT = 1
EXIT_BROKEN = 3

Run = Annotated[Path | None, typer.Argument(help="The folder of a finished run.", metavar="RUN", show_default=False)]
Sections = Annotated[
    str, typer.Option(metavar="A,B", help="Only these sections (medfed list audit_sections); default: all.")
]
FailOn = Annotated[
    str, typer.Option(metavar="VERDICTS", help="End with exit code 1 on one of these, e.g. FAIL,INVALID.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="A threshold or budget, e.g. performance.threshold=0.9."),
]
Attacks = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="Attack images by this (medfed list attacks), in every section that has a field for it."
    ),
]
Seed = Annotated[int | None, typer.Option(help="Of the audit's own draws; default: the scenario's seed.")]
Budget = Annotated[
    str, typer.Option(metavar="TIME", help="About how long it may take, such as 90s or 1h, or none for no limit.")
]
Pdf = Annotated[bool, typer.Option(help="Print the page into report.pdf, where there is a Chromium.")]
Model = Annotated[Path | None, typer.Option(metavar="FILE", help="In place of RUN: weights that someone else trained.")]
Data = Annotated[Path | None, typer.Option(metavar="MANIFEST", help="With --model: the images.")]
ScenarioFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --model: its task, classes, image size, architecture; default: scenario.toml beside it.",
    ),
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="With --model: where to write; default: MODEL-audit.")]


@app.command()
def audit(
    run: Run = None,
    sections: Sections = "",
    fail_on: FailOn = "",
    overrides: Overrides = None,
    attacks: Attacks = "",
    seed: Seed = None,
    budget: Budget = "10m",
    pdf: Pdf = True,
    model: Model = None,
    data: Data = None,
    scenario: ScenarioFile = None,
    out: Out = None,
) -> None:
    """Measure robustness and privacy of a finished run, and write RUN/audit/report.html with a verdict per section.

    Finished sections are kept: the same command goes on after Ctrl-C, and measures only what changed. A model that was
    trained elsewhere: medfed audit --model FILE --data MANIFEST --scenario FILE; what needs a run is then not tested.

    Exit codes: 0 no verdict of --fail-on, 1 one of them, 2 bad input, 3 a section broke (ERROR), 130 Ctrl-C.
    """
    from rich.console import Console

    from medfed.audit.budget import parse_budget
    from medfed.audit.console import watching
    from medfed.audit.plan import in_every_section
    from medfed.audit.run import audit as run_audit

    failing, chosen, seconds = _verdicts(fail_on), _listed(sections), parse_budget(budget)
    attack = in_every_section("attack", attacks, chosen) if attacks else ()
    console = Console()
    with watching(console, seconds) as watcher:
        found = run_audit(
            _subject(run, model, data, scenario, out),
            sections=chosen,
            overrides=(*attack, *(overrides or ())),
            seed=seed,
            budget=seconds,
            pdf=pdf,
            progress=watcher.progress,
            on_plan=watcher.plan,
            on_section=watcher.section,
        )
    if pdf and found.no_pdf:
        console.print(found.no_pdf, highlight=False, markup=False)
    headline = ", ".join(found.report.headline)
    console.print(f"{headline}  page: {found.folder / 'report.html'}", highlight=False, markup=False)
    if code := exit_code(found.report, failing):
        raise typer.Exit(code)


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

    if report.verdicts & fail_on:
        return EXIT_VERDICT
    return EXIT_BROKEN if Verdict.ERROR in report.verdicts else 0


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _verdicts(text: str) -> "frozenset[Verdict]":
    from medfed.audit.verdicts import Verdict

    unknown = [word for word in _listed(text) if word not in set(Verdict)]
    if unknown:
        raise ScenarioError(f'--fail-on: unknown verdict "{unknown[0]}"; allowed: {", ".join(Verdict)}')
    return frozenset(map(Verdict, _listed(text)))
