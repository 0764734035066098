"""What a sweep will run, all of it validated before the first run starts."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfed.config import Scenario, load_scenario, to_dict
from medfed.errors import MedfedError, ScenarioError
from medfed.overrides import split_override
from simulations.fingerprints import Fingerprints, fingerprints
from simulations.inputs import check_inputs, check_together
from simulations.sweeps.grid import Axis, Settings, labels, parse_axis, product

_MAX_FAULTS = 5


@dataclass(frozen=True)
class Point:
    """One combination of the grid: its scenario for every seed, with the sites filled in."""

    label: str
    settings: Settings
    scenarios: dict[int, Scenario]


@dataclass(frozen=True)
class Plan:
    """A whole sweep.

    Attributes:
        base: the scenario before the grid changes it; the first combination, where it cannot stand without the grid.
        axes: what the grid changes.
        seeds: of every combination.
        points: every combination.
        data: what the sites of each run hold, by the name of the run.
    """

    base: Scenario
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    points: tuple[Point, ...]
    data: Mapping[str, Fingerprints]

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
    axes = tuple(parse_axis(text) for text in grid)
    _refuse_twice([axis.key for axis in axes], [split_override(text, Scenario, "--set")[0] for text in overrides])
    settings = product(axes)
    base = _base(path, overrides, settings)
    seeds = tuple(range(base.seed, base.seed + num_seeds))
    points, faults = [], []
    for label, point in zip(labels(settings, seeds[-1]), settings, strict=True):
        try:
            changed = _changed(path, overrides, point)
            scenarios = {s: changed.replace(name=f"{label}-seed{s}", seed=s) for s in seeds}
            points.append(Point(label, point, scenarios))
        except ScenarioError as fault:
            faults += _told(label, fault)
    _raise(faults)
    _refuse_same(points)
    _refuse_other_headlines(points)
    return Plan(base, axes, seeds, *_with_sites(points))


def _base(path: Path, overrides: Sequence[str], settings: Sequence[Settings]) -> Scenario:
    """The scenario without the grid; if it lacks what the grid gives, the first combination that can stand.

    Both have the same name and seed, which no grid changes.
    """
    faults: list[ScenarioError] = []
    for point in ({}, *settings):
        try:
            return _changed(path, overrides, point)
        except ScenarioError as fault:
            faults.append(fault)
    _, *of_points = faults
    if len(set(map(str, of_points))) > 1:  # else the fault is not of the grid
        named = zip(labels(settings, 0), of_points, strict=True)
        _raise([line for label, fault in named for line in _told(label, fault)])
    raise of_points[0]


def _changed(path: Path, overrides: Sequence[str], point: Settings) -> Scenario:
    return load_scenario(path, (*overrides, *(f"{key}={value}" for key, value in point.items())))


def _told(label: str, fault: ScenarioError) -> list[str]:
    return [f"grid point {label}: {line}" for line in str(fault).splitlines()]


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


def _with_sites(points: Sequence[Point]) -> tuple[tuple[Point, ...], dict[str, Fingerprints]]:
    """Check data and model of every run; what cannot differ between runs is checked once."""
    checked: dict[str, Fingerprints] = {}
    filled, data, faults = [], {}, []
    for point in points:
        scenarios = {}
        for seed, scenario in point.scenarios.items():
            try:
                found = _data(scenario, checked)
            except MedfedError as fault:
                faults += [f"grid point {point.label}, seed {seed}: {line}" for line in str(fault).splitlines()]
                continue
            scenarios[seed], data[scenario.name] = _of_sites(scenario, found), found
        filled.append(Point(point.label, point.settings, scenarios))
    _raise(faults)
    return tuple(filled), data


def _data(scenario: Scenario, checked: dict[str, Fingerprints]) -> Fingerprints:
    """What the sites of the run hold, by their names."""
    f = scenario.federation
    key = repr((scenario.seed, scenario.task, scenario.data, scenario.model, f.sites, f.leave_out, f.sites_per_round))
    if key in checked:
        check_together(_of_sites(scenario, checked[key]))
    else:
        complete, dataset = check_inputs(scenario)
        checked[key] = fingerprints(dataset, complete.federation.sites)
    return checked[key]


def _of_sites(scenario: Scenario, data: Fingerprints) -> Scenario:
    federation = scenario.federation.model_copy(update={"sites": tuple(sorted(data))})
    return scenario.model_copy(update={"federation": federation})


def _raise(faults: Sequence[str]) -> None:
    if faults:
        more = [f"... and {len(faults) - _MAX_FAULTS} more"] if len(faults) > _MAX_FAULTS else []
        raise ScenarioError(os.linesep.join([*faults[:_MAX_FAULTS], *more]))
