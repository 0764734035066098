"""The forest plot of a sweep: validation and test figure of every grid point, with 95 % intervals."""

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medfed.report.svg import INK, SERIES, draw
from medfed.report.sweep_results import SweepResult
from medfed.report.sweep_text import in_groups, settings
from medfed.report.text import labels, metric_title
from medfed.results import Estimate

MAX_ROWS = 24  # more would be a tall smear; the table has them all
_TEST, _VALIDATION = ("o", SERIES[0]), ("s", SERIES[1])


def sweep_plot(result: SweepResult) -> Markup | None:
    """One line per grid point, in the order of the table; None where nothing is known, or there are too many."""
    rows = [row for row in in_groups(result) if row.test.value is not None]
    if not rows or len(result.rows) > MAX_ROWS:
        return None
    names = labels([", ".join(value for _, value in settings(row)) for row in rows], 26)

    def paint(_: Figure, axes: Axes) -> None:
        for position, row in enumerate(rows):
            _mark(axes, position - 0.13, row.validation, *_VALIDATION)
            _mark(axes, position + 0.13, row.test, *_TEST)
        axes.set_yticks(range(len(rows)), list(names.values()))
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel(metric_title(result.headline_metric))
        axes.grid(axis="x")
        axes.spines[["left", "bottom"]].set_visible(False)

    alt = f"{metric_title(result.headline_metric)} of every grid point on validation and test images; numbers above."
    return draw(paint, 460, 44 + 32 * len(rows), "sweep", alt)


def _mark(axes: Axes, y: float, estimate: Estimate, marker: str, color: str) -> None:
    if estimate.value is None:
        return
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [y, y], color=color, linewidth=2, alpha=0.75)
    axes.plot([estimate.value], [y], color=color, marker=marker, markersize=6.5)
