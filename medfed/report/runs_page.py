"""All runs of a folder: a table for the console, and a page with a link to every page."""

from collections.abc import Sequence
from urllib.parse import quote

from rich import box
from rich.table import Table
from rich.text import Text

from medfed.compare.overview import RunLine
from medfed.report.rendering import render_page
from medfed.report.text import DASH, interval, metric_title, number, short


def render_runs(lines: Sequence[RunLine]) -> str:
    """The page as text; its links are relative, so that the folder may move."""
    return render_page("runs.html.j2", {"lines": lines}, {"address": quote}, {})


def old_audits(lines: Sequence[RunLine]) -> list[str]:
    """What is to be said of every audit that is not of its run as it is now."""
    return [f"{short(line.folder, 60)}: its audit is of {line.audit_stale}" for line in lines if line.audit_stale]


def runs_table(lines: Sequence[RunLine]) -> Table:
    """One row per run; names are shown literally."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("run", overflow="fold", min_width=14)
    for heading in ("started", "state", "figure", "sites", "audit"):
        table.add_column(heading, no_wrap=heading in ("state", "audit"))
    for line in lines:
        figure = Text(DASH)
        if line.headline is not None:
            figure = Text(f"{metric_title(line.metric)} {number(line.headline.value)}")
            if ends := interval(line.headline):
                figure.append(f"\n{ends}", style="dim")
        sites = str(line.num_sites) if line.task else DASH
        audit = Text(line.audit or DASH)
        if line.audit_stale:
            audit.append("\nold", style="dim")
        table.add_row(Text(short(line.folder, 60)), line.started or DASH, line.state, figure, sites, audit)
    return table
