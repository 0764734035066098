"""``medfed privacy attack``: a thin shell over :func:`privacy.leakage.command.attack_run`."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from privacy.leakage.default import ATTACK

if TYPE_CHECKING:
    from rich.console import Console

    from privacy.leakage.command import Outcome


def attack(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.", metavar="RUN", show_default=False)],
    site: Annotated[str, typer.Option(help="Whose update.", show_default=False)],
    round_number: Annotated[int, typer.Option("--round", help="Of the run; -1 is the last.", show_default=False)],
    images: Annotated[int, typer.Option(min=1, help="Most images that are looked for.")] = 8,
    measured: Annotated[int, typer.Option(min=1, help="Most images that are compared, one of a patient.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Most local steps that are simulated.")] = 20,
    iterations: Annotated[int, typer.Option(min=1, help="Of the attack.")] = 1000,
    control: Annotated[int, typer.Option(min=1, help="Undefended updates of one image, to see what it can do.")] = 2,
    name: Annotated[str, typer.Option("--attack", help="Which (medfed list inversions).")] = ATTACK,
    labels: Annotated[bool, typer.Option("--labels", help="Tell the attacker the classes or masks.")] = False,
    statistics: Annotated[bool, typer.Option(help="Let the attacker see running statistics that travelled.")] = True,
    class_counts: Annotated[bool, typer.Option(help="Let it know the site's classes, for a balanced loss.")] = True,
    seed: Annotated[int | None, typer.Option(help="Of the attack; default: the scenario's.")] = None,
) -> None:
    """Look for the images behind a recorded update, and write truth and result to RUN/audit/inversion.

    Ctrl-C ends the search; what was found by then is measured and written, and a second one leaves at once. The
    pictures show patients of the site.
    """
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from medfed.registry import build
    from privacy.inversion.threat import Knowledge
    from privacy.leakage.campaign import Bounds
    from privacy.leakage.command import attack_run

    bounds = Bounds(
        targets=measured,
        slots=images,
        most_steps=steps,
        decoys=99,
        control_images=control,
        max_iterations=iterations,
        knowledge=Knowledge(labels=labels, masks=labels, batch_norm_statistics=statistics, class_counts=class_counts),
    )
    console = Console()
    columns = (
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with _ended_by_ctrl_c() as asked, Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("opening the run", total=1.0)
        found = attack_run(
            run,
            site,
            round_number,
            bounds,
            build("inversion", {"name": name}),
            lambda what, done, loss: bar.update(task, description=f"{what}, loss {loss:.4f}", completed=done),
            lambda: bool(asked),
            seed,
        )
    _show(console, found)


@contextmanager
def _ended_by_ctrl_c() -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C; the second Ctrl-C does what it always does."""
    asked: list[int] = []
    usual = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, usual)


def _show(console: "Console", found: "Outcome") -> None:
    from rich.table import Table

    message, trial = found.message, found.message.trial
    table = Table("image", "PSNR (dB)", "registered", "SSIM", f"place of {trial.num_decoys + 1}")
    for score in trial.scores:
        alike = "" if score.ssim is None else f"{score.ssim:.3f}"
        cells = (f"{score.psnr:.2f}", f"{score.registered_psnr:.2f}", alike, str(score.rank or ""))
        table.add_row(str(score.index), *cells)
    console.print(table)
    took, looked = len(message.measured.truth), len(trial.found.images)
    how = "all steps simulated" if message.shown.whole else "taken for the direction of one step"
    lines = [
        f"update: {took} images, {message.recorded.num_steps} steps; looked for {looked}, {how}",
        f"mean PSNR {trial.mean_psnr:.2f} dB; named {sum(rank == 1 for rank in trial.ranks)} of {len(trial.ranks)}; "
        f"cosine distance {trial.found.loss:.4f}; stopped: {trial.found.stopped}",
        *(f"note: {line}" for line in message.shown.unlike),
    ]
    if message.shown.untold:
        lines.append("note: --labels is of no use here: only a part of the images is looked for")
    for control in found.controls:
        (score,) = control.trial.scores
        lines.append(f"control, one undefended image: {score.psnr:.2f} dB, place {score.rank or '-'}")
    before = found.before_noise
    if before is not None and before.trial is not None and before.trial is not trial:
        lines.append(f"control, the same update before noise: {before.trial.mean_psnr:.2f} dB")
    lines.append(f"written to {found.folder}")
    for line in lines:
        console.print(line, highlight=False, markup=False)
