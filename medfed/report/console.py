"""The closing table on the console: the headline metric per site for the three models."""

from rich.table import Table
from rich.text import Text

from medfed.report.tables import three_way
from medfed.report.text import direction, interval, metric_title, number, percent, short
from medfed.report.verdict import gap_is_defined
from medfed.results import Estimate, Summary


def summary_table(summary: Summary) -> Table:
    """Per site federated, local-only and pooled with 95 % intervals, the mean over sites, and a caption.

    Names are shown literally: no markup in them is interpreted.
    """
    found = three_way(summary, summary.headline_metric)
    title = f"{metric_title(summary.headline_metric)} on test images ({direction(summary.headline_metric)})"
    table = Table(title=Text(title), caption=Text(caption(summary)), caption_justify="left", title_justify="left")
    table.add_column("site", overflow="fold", min_width=12)
    for heading in ("federated", "local only", "pooled"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("n", justify="right")
    table.add_column("against local", max_width=10)  # two lines, as the figures: 80 columns are enough
    for row in found.rows:
        name = f"{row.label} (left out)" if row.left_out else row.label
        n = Text("" if row.n is None else str(row.n))
        table.add_row(Text(name), *map(_cell, row.estimates), n, Text(str(row.difference or "")))
    table.add_section()
    mean_difference = Text(str(found.mean.difference or ""))
    table.add_row(Text(found.mean.label, style="bold"), *map(_cell, found.mean.estimates), Text(""), mean_difference)
    return table


def caption(summary: Summary) -> str:
    """The line below the table: how the run ended and how much of the gap to the pooled model is closed."""
    gap = summary.gap_closed.get(summary.headline_metric)
    closed = f"gap closed: {percent(gap)}" if gap is not None else _no_gap(summary)
    best = summary.best_local_site.get(summary.headline_metric)
    between = f" (0 % = best single-site model, {short(best)}; 100 % = pooled)" if best else ""
    rounds = f"{summary.rounds} round{'' if summary.rounds == 1 else 's'}"
    return f"{summary.status} after {rounds}; {closed}{between}. Ranges are 95 % intervals."


def _no_gap(summary: Summary) -> str:
    """Why there is no share of a gap to state."""
    metric = summary.headline_metric
    if summary.mean.pooled is None or not summary.cross_site:
        return "gap closed: not known without both baselines"
    if not gap_is_defined(summary):
        return f"gap closed: not known, as {metric_title(metric)} is undefined for one of the models"
    return "gap closed: none to close, pooled is hardly better than the best single-site model"


def _cell(estimate: Estimate | None) -> Text:
    text = Text(number(estimate.value if estimate else None))
    ends = interval(estimate)
    if ends:
        text.append(f"\n{ends}", style="dim")  # below the value, so that the table fits 80 columns
    return text
