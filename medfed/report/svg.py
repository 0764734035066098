"""Matplotlib figures as inline SVG that takes its colors and font from the page, so that light and dark both work.

A figure is drawn in placeholder colors; in the SVG each becomes a CSS variable. Text stays text. Nothing of
pyplot is used: a figure is a value, and rendering changes no global state that outlives the call.
"""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

NUM_SERIES = 8
SERIES = tuple(f"#fe00{k:02x}" for k in range(1, NUM_SERIES + 1))
"""Placeholders of the colors of the page's ``--series-1`` ... ``--series-8``."""
INK, MUTED, GRID = "#fd0001", "#fd0002", "#fd0003"

_VARIABLES = {color: f"var(--series-{k})" for k, color in enumerate(SERIES, start=1)} | {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
}
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2), (2, 2), (8, 2, 2, 2), (4, 4), (1, 2), (10, 3), (5, 1, 1, 1, 1, 1))
"""One dash pattern per series, in points, so that a line is told by more than its color."""

_SETTINGS: Any = {  # names of matplotlib's own settings
    "svg.fonttype": "none",
    "svg.hashsalt": "medfed",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.solid_capstyle": "round",
}


def draw(paint: Callable[[Figure, Axes], None], width: float, height: float, key: str, alt: str) -> Markup:
    """Let ``paint`` fill a figure and return it as ``<svg role="img">``.

    Args:
        paint: draws on the figure's only axes, in the placeholder colors.
        width: in points (the figure scales to the page; this fixes its proportions and relative text size).
        height: in points.
        key: makes the ids of this figure unique in the page.
        alt: what the figure shows, for those who do not see it.
    """
    buffer = io.StringIO()
    empty = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser has the glyphs, we only measure
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        paint(figure, figure.add_subplot())
        FigureCanvasSVG(figure)
        figure.savefig(buffer, format="svg", metadata=empty)
    return _inline(buffer.getvalue(), key, alt)


def _inline(document: str, key: str, alt: str) -> Markup:
    """Strip the XML frame, put variables for placeholder colors and make ids unique."""
    opening, body = document[document.index("<svg") :].split(">", 1)
    found = re.search(r'viewBox="([\d. ]+)"', opening)
    assert found is not None
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.S)
    body = re.sub(r"<[^>]+>", lambda match: _tag(match.group(), key), body)
    frame = Markup('<svg class="figure" viewBox="{}" role="img" aria-label="{}"><title>{}</title>')
    return frame.format(found.group(1), alt, alt) + Markup(body.strip())


def _tag(tag: str, key: str) -> str:
    """One tag with the page's colors and font and with ids of its own; text between tags is never touched."""
    for color, variable in _VARIABLES.items():
        tag = tag.replace(color, variable)
    tag = tag.replace("font-family: 'DejaVu Sans', sans-serif", "font-family: var(--font)")
    tag = re.sub(r'\bid="', f'id="{key}-', tag)
    return tag.replace("url(#", f"url(#{key}-").replace('xlink:href="#', f'href="#{key}-').replace("xlink:href", "href")
