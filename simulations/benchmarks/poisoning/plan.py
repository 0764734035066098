"""What is run: attacks, rules, and one scenario per pair of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from medfed.config import Scenario, load_scenario

HERE = Path(__file__).parent

CLEAN = "none"
"""The attack that is none: what the others are compared with, rule by rule."""

FEDAVG = "mean"

ATTACKS: Mapping[str, Mapping[str, Any]] = {
    "sign_flip": {"name": "sign_flip"},
    "scaled": {"name": "scaled"},
    "gaussian": {"name": "gaussian"},
    "alie": {"name": "alie"},
    "ipm": {"name": "ipm"},
    "min_max": {"name": "min_max"},
    "label_flip": {"name": "label_flip"},
    "backdoor": {"name": "backdoor", "trigger": "patch"},
    "backdoor_letter": {"name": "backdoor", "trigger": "letter", "size": 6},
    "model_replacement": {"name": "backdoor", "trigger": "letter", "size": 6, "replacement": True},
    "free_rider": {"name": "free_rider"},
    "lazy": {"name": "lazy"},
    "nan": {"name": "nan"},
    "inf": {"name": "inf"},
    "oversized_count": {"name": "oversized_count"},
}
"""Name in the table -> ``adversary.behaviour``."""

HONEST_NORM = 1.0
"""Median norm of an honest update in the middle of a run without attack (3.5 in round 1, 1.1 in round 5, 0.2 in round
9); a bound must be near what it is to bound."""


def rules(num_malicious: int) -> dict[str, dict[str, Any]]:
    """Name in the table -> ``federation.aggregator``, told the true number of malicious sites where it must be told."""
    told = {"num_byzantine": num_malicious}
    return {
        FEDAVG: {"name": "mean"},
        "norm_clipped_mean": {"name": "norm_clipped_mean", "max_norm": HONEST_NORM},
        "median": {"name": "median"},
        "trimmed_mean": {"name": "trimmed_mean", **told},
        "geometric_median": {"name": "geometric_median"},
        "krum": {"name": "krum", **told},
        "multi_krum": {"name": "multi_krum", **told},
        "bulyan": {"name": "bulyan", **told},
        "centred_clipping": {"name": "centred_clipping", "radius": HONEST_NORM},
        "foolsgold": {"name": "foolsgold"},
        "bucketing": {"name": "bucketing", "size": 2, "inner": {"name": "median"}},
    }


CENTRAL_NOISE, LOCAL_NOISE = 0.4, 0.04
"""Noise multipliers that cost a model of 14,000 parameters from 20 sites less than 2 points of validation accuracy; no
epsilon worth the name is left."""

NOISED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "mean+central": ("mean", {"name": "central", "clip": HONEST_NORM, "noise_multiplier": CENTRAL_NOISE}),
    "mean+local": ("mean", {"name": "local", "clip": HONEST_NORM, "noise_multiplier": LOCAL_NOISE}),
    "median+local": ("median", {"name": "local", "clip": HONEST_NORM, "noise_multiplier": LOCAL_NOISE}),
    "multi_krum+local": ("multi_krum", {"name": "local", "clip": HONEST_NORM, "noise_multiplier": LOCAL_NOISE}),
}
"""Name in the table -> rule, ``privacy.mechanism``: whether clip and noise hinder the malicious, or the rule.

Under ``central`` every site weighs the same: where stated counts weigh, a false one would raise the noise for all.
"""


STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "fedprox": {"name": "fedprox", "mu": 0.1},
    "fedavgm": {"name": "fedavgm", "momentum": 0.5},
    "fedadagrad": {"name": "fedadagrad", "lr": 0.03},
    "fedadam": {"name": "fedadam", "lr": 0.03},
    "fedyogi": {"name": "fedyogi", "lr": 0.03},
    "fednova": {"name": "fednova"},
    "scaffold": {"name": "scaffold"},
    "cyclic": {"name": "cyclic"},
}
"""Strategies beside FedAvg that end with one model for all sites -> ``federation.strategy``. FedBN, FedPer and Ditto
keep parts of the model at the sites; what they send of the rest is what FedAvg sends."""

STRATEGY_RULES = ("mean", "median")
STRATEGY_ATTACKS = ("sign_flip", "min_max", "label_flip", "model_replacement")
"""What the strategies are tried against: loud, hidden, in the labels, in the images."""

STRATEGY_COLUMNS: Mapping[str, tuple[str, str]] = {
    f"{strategy}, {rule}": (strategy, rule) for strategy in STRATEGIES for rule in STRATEGY_RULES
}
"""Name in the table -> strategy, rule."""


def columns(num_malicious: int) -> dict[str, dict[str, Any]]:
    """Name in the table -> what it changes in the scenario: the rules, rules with noise, strategies."""
    chosen = rules(num_malicious)
    found: dict[str, dict[str, Any]] = {name: {"federation.aggregator": rule} for name, rule in chosen.items()}
    for name, (rule, mechanism) in NOISED.items():
        found[name] = {"federation.aggregator": chosen[rule], "privacy.mechanism": dict(mechanism)}
        if mechanism["name"] == "central":
            found[name]["federation.strategy.weighting"] = "uniform"
    for name, (strategy, rule) in STRATEGY_COLUMNS.items():
        found[name] = {"federation.aggregator": chosen[rule], "federation.strategy": dict(STRATEGIES[strategy])}
    return found


@dataclass(frozen=True)
class Pair:
    """One run: an attack by so many sites, under one column of the table."""

    attack: str
    rule: str
    num_malicious: int
    seed: int

    @property
    def label(self) -> str:
        """A folder's name; one for all numbers where no site is malicious, and the rule is not told how many are."""
        number = "" if self.attack == CLEAN and columns(1)[self.rule] == columns(2)[self.rule] else self.num_malicious
        return re.sub(r"[^A-Za-z0-9.-]+", "-", f"{number}-{self.attack}-{self.rule}-seed{self.seed}").lstrip("-")

    @property
    def column(self) -> tuple[str, int, int]:
        """Of the table; its runs are more alike than those of a row."""
        return self.rule, self.num_malicious, self.seed

    def scenario(self) -> Scenario:
        """Ready to be checked."""
        changes: dict[str, Any] = {"seed": self.seed, **columns(self.num_malicious)[self.rule]}
        if self.attack != CLEAN:
            changes["adversary.sites"] = self.num_malicious
            changes["adversary.behaviour"] = dict(ATTACKS[self.attack])
        return base().replace(name=self.label, **changes)


@cache
def base() -> Scenario:
    """The file beside this one."""
    return load_scenario(HERE / "pneumonia.toml")


def pairs(attacks: Sequence[str], chosen: Sequence[str], malicious: Sequence[int], seeds: int) -> Iterator[Pair]:
    """All runs, column by column: what is alike follows one another."""
    for seed in range(1, seeds + 1):
        for num_malicious in malicious:
            for rule in chosen:
                tried = [one for one in attacks if rule not in STRATEGY_COLUMNS or one in STRATEGY_ATTACKS]
                yield from (Pair(attack, rule, num_malicious, seed) for attack in (CLEAN, *tried))
