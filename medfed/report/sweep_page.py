"""The page of a sweep: one HTML file that needs no network, no script and no other file."""

import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from medfed.errors import RunFolderError
from medfed.files import write_text_atomic
from medfed.report import sweep_text
from medfed.report.rendering import Functions, render_page
from medfed.report.scenario import shown_scenario
from medfed.report.sweep_figure import sweep_plot
from medfed.report.sweep_results import SweepResult

_FILTERS: Functions = {"signed": sweep_text.signed, "settings": sweep_text.settings, "count": sweep_text.count}


def render_sweep(folder: Path) -> Path:
    """Write ``report.html`` into a sweep's folder from ``sweep.json`` and ``sweep.toml``; runs nothing.

    Raises:
        RunFolderError: ``sweep.json`` is missing or not as the schema says.
    """
    path = folder / "sweep.json"
    try:
        result = SweepResult.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read: {error.strerror}; give the folder of a sweep") from error
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"]) or "(file)"
        raise RunFolderError(f'{path}: key "{key}": {fault["msg"]}; give the sweep command again') from error
    toml = folder / "sweep.toml"
    written = toml.read_text(encoding="utf-8", errors="replace") if toml.is_file() else None
    write_text_atomic(folder / "report.html", render(result, written), errors="replace")
    return folder / "report.html"


def render(result: SweepResult, written: str | None) -> str:
    """The page as text; the same results give the same bytes. ``written`` is ``sweep.toml``."""
    return render_page("sweep.html.j2", _values(result, written), _FILTERS, {})


def _values(result: SweepResult, written: str | None) -> dict[str, Any]:
    metric = result.headline_metric
    groups: dict[int, list[Any]] = {}
    for row in sweep_text.in_groups(result):
        groups.setdefault(row.data_group, []).append((row, sweep_text.clear(row.difference, metric)))
    return {
        "result": result,
        "groups": list(groups.values()),
        "several_data": len(groups) > 1 and not sweep_text.only_data(result),
        "only_data": sweep_text.only_data(result),
        "num_finished": sweep_text.num_finished(result),
        "conclusions": sweep_text.conclusions(result),
        "ranges_are": sweep_text.ranges_are(result),
        "failed": [run for run in result.runs if run.cause],
        "seconds": sum(run.seconds or 0.0 for run in result.runs),
        "figure": sweep_plot(result),
        "scenario": shown_sweep(written),
    }


def shown_sweep(written: str | None) -> str | None:
    """``sweep.toml`` as the page may show it: its ``[scenario]`` without where the images lie."""
    try:
        values = tomllib.loads(written or "")
    except tomllib.TOMLDecodeError:
        return None
    if not isinstance(values.get("scenario"), dict):
        return None
    return shown_scenario(tomli_w.dumps(values["scenario"]), [])
