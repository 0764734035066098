"""Learning curves: training loss and validation headline metric of each site, by round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medfed.report.svg import DASHES, INK, MUTED, NUM_SERIES, SERIES, draw
from medfed.report.text import labels, metric_title
from medfed.results import RoundResult

Series = dict[str, list[tuple[int, float]]]
"""Site -> (round, value) pairs, in order of rounds."""


@dataclass(frozen=True)
class LegendItem:
    """One line of the legend; ``series`` is 1..8, or 0 for the mean over sites."""

    label: str
    series: int
    dashes: str


@dataclass(frozen=True)
class Curves:
    """The two figures (None where there is nothing to draw) and their common legend."""

    loss: Markup | None
    metric: Markup | None
    legend: list[LegendItem]
    many: bool


def learning_curves(rounds: Sequence[RoundResult], headline: str) -> Curves:
    """Draw both figures; up to eight sites get a line style each, more are thin grey lines below their mean."""
    names = list(dict.fromkeys(name for r in rounds for name in r.sites))
    loss = _series(rounds, names, None)
    metric = _series(rounds, names, headline)
    many = len(names) > NUM_SERIES
    legend = [LegendItem("mean over sites", 0, "")] if len(names) > 1 else []
    if not many:
        label = labels(names)
        dashes = (" ".join(f"{step:g}" for step in pattern) for pattern in DASHES)
        legend += [
            LegendItem(label[name], k, dash) for k, (name, dash) in enumerate(zip(names, dashes, strict=False), 1)
        ]
    return Curves(
        _figure(loss, "Training loss", "loss"),
        _figure(metric, f"Validation {metric_title(headline)}", "metric"),
        legend,
        many,
    )


def _series(rounds: Sequence[RoundResult], names: list[str], metric: str | None) -> Series:
    """The loss (``metric`` None) or a validation metric, finite values only."""
    series: Series = {name: [] for name in names}
    for result in rounds:
        for name, site in result.sites.items():
            value = site.loss if metric is None else site.val.get(metric)
            if value is not None and math.isfinite(value):
                series[name].append((result.round, value))
    return series


def mean_by_round(series: Series) -> list[tuple[int, float]]:
    """Mean over the sites that have a value in a round; each site counts once."""
    by_round: dict[int, list[float]] = {}
    for points in series.values():
        for number, value in points:
            by_round.setdefault(number, []).append(value)
    return [(number, math.fsum(values) / len(values)) for number, values in sorted(by_round.items())]


def _figure(series: Series, title: str, key: str) -> Markup | None:
    mean = mean_by_round(series)
    if not mean:
        return None

    def paint(_: Figure, axes: Axes) -> None:
        axes.set_title(title)
        axes.set_xlabel("round")
        axes.grid(axis="y")
        axes.locator_params(axis="x", integer=True, nbins=8)
        axes.locator_params(axis="y", nbins=6)
        for position, points in enumerate(series.values()):
            _line(axes, points, position, len(series))
        if len(series) > 1:
            axes.plot(*zip(*mean, strict=True), color=INK, linewidth=2.6, marker="o" if len(mean) == 1 else "")
        axes.margins(x=0.03)

    alt = f"{title} by round, one line per site; mean over sites {mean[0][1]:.3f} in round {mean[0][0]}"
    return draw(paint, 420, 270, f"curve-{key}", f"{alt}, {mean[-1][1]:.3f} in round {mean[-1][0]}.")


def _line(axes: Axes, points: list[tuple[int, float]], position: int, num_lines: int) -> None:
    if not points:
        return
    x, y = zip(*points, strict=True)
    if num_lines > NUM_SERIES:
        axes.plot(
            x,
            y,
            color=MUTED,
            linewidth=0.8,
            alpha=max(0.08, min(0.4, 10 / num_lines)),
            marker="." if len(x) == 1 else "",
        )
    else:
        style = (0, DASHES[position]) if DASHES[position] else "-"
        axes.plot(x, y, color=SERIES[position], linewidth=1.7, linestyle=style, marker="o", markersize=2.6)
