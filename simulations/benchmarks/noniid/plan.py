"""What is run: the sets, one scenario file each, and the values that are tried for every strategy (``grid.toml``)."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from medfed.config import Scenario, load_scenario
from server.strategies import STRATEGIES
from simulations.benchmarks.noniid.runs import prepared

HERE = Path(__file__).parent
SETS = ("pneumonia", "skin", "nuclei")
SEEDS = (1, 2, 3)
TUNING_SEED = 1

LOCAL_RATE = "local_lr"
"""The one name in ``grid.toml`` that is no field of the strategy: the sites' learning rate."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One strategy with one choice of its values, on one set."""

    set_name: str
    strategy: str
    values: str
    """As JSON, so that trials can be compared and kept in sets."""

    @property
    def label(self) -> str:
        """A folder's name, short of the seed."""
        shown = "_".join(f"{key}-{value}" for key, value in self.fields.items())
        return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{self.strategy}_{shown}".strip("_")).rstrip("-")

    @property
    def fields(self) -> Values:
        """The chosen values by name."""
        found: Values = json.loads(self.values)
        return found

    def scenario(self, seed: int) -> Scenario:
        """The set's scenario with this strategy, ready to be run."""
        return _scenario(self, seed)


@cache
def _scenario(trial: Trial, seed: int) -> Scenario:
    values = _shared_fields(trial) | trial.fields
    rate = values.pop(LOCAL_RATE, None)
    changes: Values = {"federation.strategy": {"name": trial.strategy, **values}}
    if rate is not None:
        changes["training.optimizer.lr"] = rate
    name = f"{trial.label}-seed{seed}"
    return prepared_base(trial.set_name, seed).replace(name=name, **changes)


def _shared_fields(trial: Trial) -> Values:
    """The set's weighting of sites, for the strategies that weigh them."""
    weighted = any(field.name == "weighting" for field in fields(STRATEGIES[trial.strategy]))
    return {"weighting": base(trial.set_name).federation.strategy.weighting} if weighted else {}


@cache
def prepared_base(set_name: str, seed: int) -> Scenario:
    """The set's scenario with this seed and its sites; its data are checked once, since no strategy changes them."""
    return prepared(base(set_name).replace(seed=seed))


def base(set_name: str) -> Scenario:
    """The set's scenario as its file has it: plain FedAvg, by which baselines are trained too."""
    return load_scenario(HERE / f"{set_name}.toml")


def baseline_scenario(set_name: str, seed: int) -> Scenario:
    """The set's scenario, with the learning rate of local and pooled models that ``grid.toml`` gives it."""
    grid = tomllib.loads((HERE / "grid.toml").read_text())
    rate = grid.get("baselines", {}).get(set_name)
    scenario = prepared_base(set_name, seed).replace(**{"engine.workers": 1})
    return scenario if rate is None else scenario.replace(**{"training.optimizer.lr": rate})


def trials(set_name: str, strategy: str) -> list[Trial]:
    """What is tried for ``strategy``: the set's own list where it has one, else the one for all sets."""
    grid = tomllib.loads((HERE / "grid.toml").read_text())
    listed = (grid["all"] | grid[set_name])[strategy]
    return [Trial(set_name, strategy, json.dumps(values)) for values in listed]


def strategies() -> Iterator[str]:
    """All that medfed has, FedAvg first, the slowest before the fastest, so that processes end together."""
    first = ["fedavg", "ditto"]
    yield from first
    yield from (name for name in sorted(STRATEGIES) if name not in first)
