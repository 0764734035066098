"""What a sweep will run, all of it validated before the first run starts, and the folder that is its own."""

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from medfed.config import Scenario, load_scenario, to_dict
from medfed.errors import MedfedError, RunFolderError, ScenarioError
from medfed.files import write_text_atomic
from medfed.overrides import split_override
from medfed.run_folder import check_free
from simulations.inputs import check_inputs, check_together
from simulations.sweeps.grid import Axis, Settings, labels, parse_axis, product

_MAX_FAULTS = 5
_SWEEP = "sweep.toml"


@dataclass(frozen=True)
class Point:
    """One combination of the grid: its scenario for every seed, with the sites filled in."""

    label: str
    settings: Settings
    scenarios: dict[int, Scenario]


@dataclass(frozen=True)
class Plan:
    """A whole sweep; ``base`` is the scenario before the grid changes it."""

    base: Scenario
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """The sweep's name and its folder's."""
        return f"{self.base.name}-sweep"

    def to_dict(self) -> dict[str, Any]:
        """What tells this sweep from another, as TOML values."""
        grid = {axis.key: list(axis.values) for axis in self.axes}
        return {"seeds": list(self.seeds), "grid": grid, "scenario": to_dict(self.base)}


def make_plan(path: Path, grid: Sequence[str], num_seeds: int, overrides: Sequence[str]) -> Plan:
    """Read the scenario and validate every combination, data included.

    Raises:
        ScenarioError, DataError: a key, a value or a combination is not as it must be, or two are the same.
    """
    base = load_scenario(path, tuple(overrides))
    axes = tuple(parse_axis(text) for text in grid)
    _refuse_twice([axis.key for axis in axes], [split_override(text, Scenario, "--set")[0] for text in overrides])
    seeds = tuple(range(base.seed, base.seed + num_seeds))
    settings = product(axes)
    points, faults = [], []
    for label, point in zip(labels(settings, seeds[-1]), settings, strict=True):
        try:
            changed = load_scenario(path, (*overrides, *(f"{key}={value}" for key, value in point.items())))
            scenarios = {s: changed.replace(name=f"{label}-seed{s}", seed=s) for s in seeds}
            points.append(Point(label, point, scenarios))
        except ScenarioError as fault:
            faults += [f"grid point {label}: {line}" for line in str(fault).splitlines()]
    _raise(faults)
    _refuse_same(points)
    _refuse_other_headlines(points)
    return Plan(base, axes, seeds, tuple(_with_sites(points)))


def claim_folder(plan: Plan, out: Path) -> Path:
    """Make the sweep's folder, or see that the one that is there belongs to this very sweep.

    Raises:
        RunFolderError: it belongs to another sweep, or is none; or a folder in it is no run's.
    """
    folder = out / plan.name
    written = folder / _SWEEP
    if written.is_file():
        _compare(written, plan)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunFolderError(f"{folder}: exists and is not the folder of a sweep (no {_SWEEP}); choose another --out")
    for point in plan.points:
        for scenario in point.scenarios.values():
            check_free(folder / scenario.name, overwrite=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(written, tomli_w.dumps(plan.to_dict()))
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be made: {error.strerror}; choose another --out") from error
    return folder


def _compare(written: Path, plan: Plan) -> None:
    """Refuse a folder whose ``sweep.toml`` is not that of ``plan``, naming the first keys that differ."""
    try:
        found = tomllib.loads(written.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{written}: is damaged: {error}; remove the folder, or choose another --out") from error
    before, now = _flat(found), _flat(tomllib.loads(tomli_w.dumps(plan.to_dict())))
    changed = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    if list(found.get("grid", {})) != [axis.key for axis in plan.axes]:
        changed = changed or ["grid (order of its keys)"]
    if changed:
        key = changed[0]
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise RunFolderError(
            f"{written.parent}: holds another sweep: {key}{more} was {before.get(key)}, is now {now.get(key)}; "
            "give the same command to go on with it, or choose another --out or --set name=..."
        )


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value of nested tables."""
    if not isinstance(values, dict):
        return {prefix: values}
    return {
        key: value
        for name, inner in values.items()
        for key, value in _flat(inner, f"{prefix}.{name}" if prefix else name).items()
    }


def _refuse_twice(keys: Sequence[str], set_keys: Sequence[str]) -> None:
    for position, key in enumerate(keys):
        if key in keys[:position]:
            raise ScenarioError(f'--grid key "{key}": given twice; list all its values in one --grid')
        if key in set_keys:
            raise ScenarioError(f'--grid key "{key}": is also given with --set; give one of the two')


def _refuse_same(points: Sequence[Point]) -> None:
    """Two points of one meaning, such as 0.1 and 1e-1, would be one method counted twice."""
    known: dict[str, str] = {}
    for point in points:
        text = next(iter(point.scenarios.values())).replace(name="same").to_toml()
        if text in known:
            raise ScenarioError(f"grid points {known[text]} and {point.label} are the same scenario; drop one value")
        known[text] = point.label


def _refuse_other_headlines(points: Sequence[Point]) -> None:
    found = {scenario.headline: point.label for point in points for scenario in point.scenarios.values()}
    if len(found) > 1:
        listed = ", ".join(f"{metric} of {label}" for metric, label in sorted(found.items()))
        raise ScenarioError(f"--grid: rows must be scored alike, but the headline metrics differ: {listed}")


def _with_sites(points: Sequence[Point]) -> list[Point]:
    """Check data and model of every run; what cannot differ between runs is checked once."""
    checked: dict[str, tuple[str, ...]] = {}
    filled, faults = [], []
    for point in points:
        scenarios = {}
        for seed, scenario in point.scenarios.items():
            try:
                sites = _sites(scenario, checked)
            except MedfedError as fault:
                faults += [f"grid point {point.label}, seed {seed}: {line}" for line in str(fault).splitlines()]
                continue
            federation = scenario.federation.model_copy(update={"sites": sites})
            scenarios[seed] = scenario.model_copy(update={"federation": federation})
        filled.append(Point(point.label, point.settings, scenarios))
    _raise(faults)
    return filled


def _sites(scenario: Scenario, checked: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    f = scenario.federation
    key = repr((scenario.seed, scenario.task, scenario.data, scenario.model, f.sites, f.leave_out, f.sites_per_round))
    if key not in checked:
        checked[key] = check_inputs(scenario)[0].federation.sites
        return checked[key]
    check_together(scenario.model_copy(update={"federation": f.model_copy(update={"sites": checked[key]})}))
    return checked[key]


def _raise(faults: Sequence[str]) -> None:
    if faults:
        more = [f"... and {len(faults) - _MAX_FAULTS} more"] if len(faults) > _MAX_FAULTS else []
        raise ScenarioError(os.linesep.join([*faults[:_MAX_FAULTS], *more]))
