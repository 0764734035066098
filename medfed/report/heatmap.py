"""The cross-site heat map: models trained at one site, tested at every other; the first look at domain shift."""

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medfed.report.comparison import mean_estimate, pick
from medfed.report.svg import GRID, MUTED, draw
from medfed.report.text import DASH, labels, metric_title, number
from medfed.report.verdict import elsewhere_mean
from medfed.results import LOWER_IS_BETTER, Summary

_NUMBERS_UP_TO = 12  # columns; beyond that the numbers in the cells would be too small to read
_NAMES_UP_TO = 40
_SCALE = LinearSegmentedColormap.from_list("calm", ["#f3efe4", "#a9cbd0", "#4c93ab", "#1f5f86", "#12355b"])


def heat_map(summary: Summary) -> Markup | None:
    """Rows: where a model was trained (and the federated and pooled models); columns: where it was tested."""
    rows, columns, values = matrix(summary)
    if not np.isfinite(values).any():
        return None
    title = metric_title(summary.headline_metric)
    reverse = summary.headline_metric in LOWER_IS_BETTER
    detailed = len(columns) <= _NUMBERS_UP_TO

    def paint(figure: Figure, axes: Axes) -> None:
        image = axes.imshow(
            values, cmap=_SCALE.reversed() if reverse else _SCALE, aspect="auto" if not detailed else "equal"
        )
        if np.nanmin(values) == np.nanmax(values):
            image.set_clim(np.nanmin(values) - 0.5, np.nanmax(values) + 0.5)
        _frame(axes, rows, columns, len(summary.cross_site))
        if detailed:
            _numbers(axes, values, np.asarray(image.norm(values), dtype=np.float64))
        bar = figure.colorbar(image, ax=axes, label=title, shrink=0.7, aspect=24)
        bar.outline.set_visible(False)

    side = 52.0 * len(columns) if detailed else 430.0
    height = side / max(len(columns), 1) * len(rows) if detailed else 430.0
    alt = f"Heat map of {title}: {len(summary.cross_site)} local models, tested at {len(columns)} sites."
    return draw(paint, max(side + 210, 380), max(height + 110, 220), "heat", f"{alt} {shift_sentence(summary)}")


def matrix(summary: Summary) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Row names, column names and values (NaN where unknown) of the heat map, in the order of the sites."""
    metric = summary.headline_metric
    tested = {name for row in summary.cross_site.values() for name in row}
    columns = [name for name in summary.sites if name in tested] + sorted(tested - set(summary.sites))
    trained = [name for name in columns if name in summary.cross_site]
    trained += [name for name in summary.cross_site if name not in set(trained)]
    found = [[pick(summary.cross_site[i].get(j), metric) for j in columns] for i in trained]
    rows = list(trained)
    for kind in ("federated", "pooled"):
        line = [pick(getattr(summary.sites.get(j), kind, None), metric) for j in columns]
        if any(line):
            rows.append(kind)
            found.append(line)
    values = [[np.nan if e is None or e.value is None else e.value for e in line] for line in found]
    return rows, columns, np.array(values, dtype=np.float64).reshape(len(rows), len(columns))


def shift_sentence(summary: Summary) -> str:
    """How much a local model loses away from home, and where most; empty without a matrix."""
    metric = summary.headline_metric
    if summary.shared_test:
        return (
            "All sites are tested on the same images: rows differ by what a site was trained on, columns cannot differ."
        )
    home = mean_estimate(summary, (pick(row.get(name), metric) for name, row in summary.cross_site.items()), metric)
    away = elsewhere_mean(summary)
    if home is None or away is None or home.value is None or away.value is None:
        return ""
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    cells = [
        (sign * estimate.value, estimate.value, i, j)
        for i, row in summary.cross_site.items()
        for j, metrics in row.items()
        if i != j and (estimate := pick(metrics, metric)) is not None and estimate.value is not None
    ]
    _, worst, trained, tested = min(cells)
    label = labels([*summary.sites, trained, tested])
    drop = sign * (home.value - away.value)
    change = f"a drop of {number(drop)}" if drop >= 0.0005 else "no drop"
    return (
        f"On its own site a local model averages {number(home.value)}, at other sites {number(away.value)}: {change}. "
        f"Furthest off: trained at {label[trained]}, tested at {label[tested]} ({number(worst)})."
    )


def _frame(axes: Axes, rows: list[str], columns: list[str], num_local: int) -> None:
    named = labels([*columns, *rows[:num_local]], 20)
    axes.set_xlabel("tested at")
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    axes.set_ylabel("trained at")
    axes.spines[:].set_visible(False)
    if len(rows) > _NAMES_UP_TO:
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.set_xticks(
        range(len(columns)), [named[name] for name in columns], rotation=40, ha="left", rotation_mode="anchor"
    )
    texts = [named[name] for name in rows[:num_local]] + [f"all sites: {name}" for name in rows[num_local:]]
    axes.set_yticks(range(len(rows)), texts)
    axes.axhline(num_local - 0.5, color=GRID if num_local == len(rows) else MUTED, linewidth=1.5)


def _numbers(axes: Axes, values: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
    for (row, column), value in np.ndenumerate(values):
        missing = np.isnan(value)
        color = MUTED if missing else "#ffffff" if shares[row, column] > 0.5 else "#12212b"
        axes.text(column, row, DASH if missing else f"{value:.2f}", ha="center", va="center", color=color, fontsize=9.5)
