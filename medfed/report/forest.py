"""The forest plot: federated, local-only and pooled model at each site, with 95 % intervals."""

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medfed.report.comparison import pick
from medfed.report.svg import INK, SERIES, draw
from medfed.report.text import labels, metric_title
from medfed.results import Estimate, Summary

KINDS = ("federated", "local", "pooled")
MAX_SITES = 24  # more would be a tall smear; the table has them all
_MARKERS = {"federated": ("o", SERIES[0]), "local": ("s", SERIES[1]), "pooled": ("^", SERIES[2])}


def forest_plot(summary: Summary) -> Markup | None:
    """One line per site and model with its interval, the mean over sites last; None where nothing is known."""
    metric, title = summary.headline_metric, metric_title(summary.headline_metric)
    label = labels(summary.sites, 20)
    rows = [
        (label[name], [pick(getattr(site, kind), metric) for kind in KINDS]) for name, site in summary.sites.items()
    ]
    rows.append(("mean over sites", [pick(getattr(summary.mean, kind), metric) for kind in KINDS]))
    rows = [row for row in rows if any(row[1])]
    if not rows or len(summary.sites) > MAX_SITES:
        return None

    def paint(_: Figure, axes: Axes) -> None:
        for position, (_name, estimates) in enumerate(rows):
            for offset, (kind, estimate) in enumerate(zip(KINDS, estimates, strict=True)):
                _mark(axes, position + 0.22 * (offset - 1), kind, estimate)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel(title)
        axes.grid(axis="x")
        axes.spines[["left", "bottom"]].set_visible(False)

    alt = f"{title} of the federated, local-only and pooled model at each site, with 95 % intervals; numbers below."
    return draw(paint, 460, 44 + 36 * len(rows), "forest", alt)


def _mark(axes: Axes, y: float, kind: str, estimate: Estimate | None) -> None:
    if estimate is None or estimate.value is None:
        return
    marker, color = _MARKERS[kind]
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [y, y], color=color, linewidth=2, alpha=0.75)
    axes.plot([estimate.value], [y], color=color, marker=marker, markersize=6.5)
