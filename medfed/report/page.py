"""The result page of a run: one HTML file that needs no network, no script and no other file."""

import json
from pathlib import Path
from typing import Any

from medfed.files import write_text_atomic
from medfed.report import text
from medfed.report.curves import learning_curves
from medfed.report.examples import load_examples
from medfed.report.forest import forest_plot
from medfed.report.heatmap import heat_map, shift_sentence
from medfed.report.load import RunData, load_run
from medfed.report.rendering import render_page
from medfed.report.scenario import num_resamples, shown_scenario
from medfed.report.tables import class_names, failure_groups, legend, other_metrics, participants, per_class, three_way
from medfed.report.verdict import verdict

EMPTY_MASK_RULE = (
    "Where neither truth nor prediction shows a class, Dice and IoU of that image are 1; "
    "where only one of the two shows it, they are 0."
)
"""As computed by :mod:`medfed.metrics.segmentation`."""


def render_run(folder: Path) -> Path:
    """Write ``report.html`` into a run folder from what lies there; runs nothing, fetches nothing.

    Only ``summary.json`` must exist: whatever else is missing or damaged is named on the page.

    Returns:
        The page's path.

    Raises:
        RunFolderError: ``summary.json`` is missing or not as the schema says.
    """
    data = load_run(Path(folder))
    path = data.folder / "report.html"
    write_text_atomic(path, render(data), errors="replace")
    return path


def render(data: RunData) -> str:
    """The page as text; the same results give the same bytes."""
    return render_page("report.html.j2", _values(data), {}, {})


def _values(data: RunData) -> dict[str, Any]:
    summary, notes = data.summary, list(data.notes)
    classes = class_names(summary)
    examples = load_examples(data.folder, list(summary.sites), notes)
    return {
        "summary": summary,
        "label": text.labels([*summary.sites, *summary.left_out]),
        "verdict": verdict(summary),
        "failures": failure_groups(data.rounds),
        "participants": participants(summary),
        "classes": text.labels(legend(classes), 40).values(),
        "curves": learning_curves(data.rounds, summary.headline_metric),
        "forest": forest_plot(summary),
        "three_way": three_way(summary, summary.headline_metric),
        "others": [three_way(summary, metric) for metric in other_metrics(summary)],
        "per_class": per_class(summary),
        "heat_map": heat_map(summary),
        "shift": shift_sentence(summary),
        "same_tests": summary.shared_test,
        "examples": examples,
        "scenario": shown_scenario(data.scenario, notes),
        "environment": _environment(data.environment),
        "notes": list(dict.fromkeys(notes)),
        "num_rounds": len(data.rounds),
        "resamples": num_resamples(data.scenario),
        "empty_mask_rule": EMPTY_MASK_RULE,
        "mean_gap": summary.gap_closed.get(summary.headline_metric),
    }


def _environment(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each entry, tables inside as one entry per line; not the command, which may hold paths."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if key == "command":
            continue
        if isinstance(value, dict):
            rows += [(name if key == "versions" else f"{key} {name}", _plain(inner)) for name, inner in value.items()]
        else:
            rows.append((key, _plain(value)))
    return [(text.short(str(name), 60), text.short(value, 300)) for name, value in rows]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "not recorded"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
