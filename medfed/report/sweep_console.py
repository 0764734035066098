"""The closing table of a sweep on the console: one row per grid point, 80 columns wide."""

from rich import box
from rich.table import Table
from rich.text import Text

from medfed.report.sweep_results import SweepResult, SweepRow
from medfed.report.sweep_text import conclusions, count, in_groups, ranges_are, settings, signed
from medfed.report.text import DASH, direction, duration, interval, metric_title, number, percent, size
from medfed.results import Estimate


def sweep_table(result: SweepResult) -> Table:
    """Validation, test, paired difference, gap closed and cost of every grid point; names are shown literally."""
    metric = result.headline_metric
    table = Table(
        title=Text(f"{metric_title(metric)}, mean over sites and seeds ({direction(metric)})"),
        caption=Text(caption(result)),
        caption_justify="left",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("setting", overflow="fold", min_width=14)
    for heading in ("validation", "test", "difference", "gap", "per run"):
        table.add_column(heading, justify="right", no_wrap=True)
    previous = None
    for row in in_groups(result):
        if previous not in (None, row.data_group):
            table.add_section()
        previous = row.data_group
        table.add_row(*_cells(row))
    return table


def caption(result: SweepResult) -> str:
    """What the choice is, what the ranges are, and what a difference is."""
    others = len({row.data_group for row in result.rows}) not in (1, len(result.rows))
    reference = "the first row of the same data" if others else "the first row"
    parts = [*conclusions(result), ranges_are(result), "Per run: time, and bytes sent by sites."]
    if len(result.rows) > 1:
        parts.append(
            f"Choose by validation (* = best), never by test. Difference: test, paired by seed, to {reference}."
        )
    return " ".join(parts)


def _cells(row: SweepRow) -> list[Text]:
    name = Text("\n".join(" ".join(pair) for pair in settings(row)))
    if row.test.n == 0 or count(row) != f"{len(row.runs)} of {len(row.runs)}":
        name.append(f"\n{count(row)}", style="dim")
    cost = Text(DASH if row.seconds.value is None else duration(row.seconds.value))
    if row.bytes_up.value is not None:
        cost.append(f"\n{size(round(row.bytes_up.value))}", style="dim")
    gap = Text(DASH if row.gap_closed.value is None else percent(row.gap_closed.value))
    difference = _cell(row.difference, signed(row.difference.value if row.difference else None))
    return [name, _cell(row.validation, mark="*" if row.best else ""), _cell(row.test), difference, gap, cost]


def _cell(estimate: Estimate | None, text: str = "", mark: str = "") -> Text:
    found = Text(mark + (text or number(estimate.value if estimate else None)))
    ends = interval(estimate)
    if ends:
        found.append(f"\n{ends}", style="dim")
    return found
