"""The table of a comparison on the console."""

from rich import box
from rich.table import Table
from rich.text import Text

from medfed.compare.results import ComparedRun, Comparison
from medfed.report.compare_page import DIGITS
from medfed.report.sweep_text import signed
from medfed.report.text import DASH, direction, interval, metric_title, number, short, size


def comparison_table(found: Comparison) -> Table:
    """One row per run: headline figure, difference to the first, what it cost; names are shown literally."""
    metric = found.headline_metric
    table = Table(
        title=Text(f"{metric_title(metric)}, mean over sites ({direction(metric)})"),
        caption=Text("Difference to the first run, with its 95 % interval. *: beyond chance."),
        caption_justify="left",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("run", overflow="fold", min_width=14)
    for heading in ("test", "difference", "sent", "epsilon", "audit"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in found.runs:
        table.add_row(*_cells(run, metric))
    return table


def _cells(run: ComparedRun, metric: str) -> list[Text]:
    mean, difference = run.mean.get(metric), run.differences.get(metric)
    value = Text(number(mean.value if mean else None))
    if ends := interval(mean):
        value.append(f"\n{ends}", style="dim")
    change = Text("reference" if difference is None else signed(difference.mean.value, DIGITS))
    if difference is not None:
        if difference.outcome in ("better", "worse"):
            change.append("*")
        if ends := interval(difference.mean, DIGITS):
            change.append(f"\n{ends}", style="dim")
    epsilon = DASH if run.epsilon is None else f"{run.epsilon:.3g}"
    return [
        Text(short(run.name, 60)),
        value,
        change,
        Text(size(run.bytes_up)),
        Text(epsilon),
        Text((run.audit_verdict or DASH) + ("\n(old)" if run.audit_stale else "")),
    ]
