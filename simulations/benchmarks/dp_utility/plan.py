"""What is run: data sets, epsilons, units, the tricks and what each set is without one of them."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from medfed.config import Scenario, load_scenario
from privacy.planning.noise import Schedule, least_noise
from privacy.planning.sites import planned_sites
from simulations.inputs import check_inputs

HERE = Path(__file__).parent
SETS = ("pneumonia", "skin", "nuclei")
SEEDS = (1, 2, 3)
EPSILONS = (None, 8.0, 3.0, 1.0)
"""None: no noise and no clip."""

UNITS: Mapping[str, Sequence[str]] = {"pneumonia": ("record",), "skin": ("record", "patient"), "nuclei": ("record",)}
"""Of pneumonia and nuclei no patients are known: there every image counts as one, and both units are the same."""

METRICS: Mapping[str, Sequence[str]] = {
    "pneumonia": ("auroc", "balanced_accuracy"),
    "skin": ("auroc", "balanced_accuracy"),
    "nuclei": ("dice",),
}
"""What the page shows; learning rates are chosen by the mean of them."""

TUNING_EPSILON = 3.0
TUNING_SEED = 1
RATES: Mapping[str, Sequence[float]] = {
    "pneumonia": (0.5, 1.0, 2.0),
    "skin": (1.0, 3.0, 9.0),
    "nuclei": (1.0, 3.0, 9.0),
}
"""Learning rates that are tried with noise. Where most gradients are clipped, clip x rate is all that matters, so that
the clip is not tried as well."""

PLAIN_RATES: Mapping[str, Sequence[float]] = {
    "pneumonia": (0.1, 0.3),
    "skin": (0.03, 0.1),
    "nuclei": (0.03, 0.1, 0.3, 1.0),
}
"""Those that are tried without."""

PLAIN: Mapping[str, Any] = {"privacy.mechanism": "none", "training.optimizer.momentum": 0.9, "parts": 4}
"""As one trains without noise: batches of a quarter and four times the steps, so as many images, and momentum."""

ALL = "all tricks"
ABLATED: Mapping[str, Mapping[str, Any]] = {
    "batch of a quarter, four times the steps": {"parts": 4},
    "last round's weights, no average": {"evaluation.keep": "last"},
    "one augmentation of an image": {"privacy.mechanism.multiplicity": 1},
    "no normalization": {"model.norm": "batch", "federation.batch_norm": "frozen"},
}
"""Without one trick -> the changes. BatchNorm with frozen initial statistics is scale and shift alone."""

ABLATION_EPSILON = 3.0


@dataclass(frozen=True)
class Job:
    """One run. ``epsilon`` None: no noise. ``rate``: the learning rate. ``purpose``: tuning, table or ablation."""

    purpose: str
    set_name: str
    unit: str
    epsilon: float | None
    variant: str
    rate: float
    seed: int

    @property
    def key(self) -> str:
        """The same for the same run, whatever it is for; another where its set's file or its variant was changed."""
        told = {key: value for key, value in asdict(self).items() if key != "purpose"}
        return json.dumps(told | {"digest": _digest(replace(self, purpose="", seed=0, rate=0.0))}, sort_keys=True)

    def scenario(self) -> Scenario:
        """Ready to be run, with its sites and the noise that its epsilon needs."""
        changes: dict[str, Any] = {"training.optimizer.lr": self.rate, **_changes(self)}
        name = f"{self.set_name}-{self.unit}-{self.epsilon or 'none'}-{self.seed}"
        scenario = prepared(self.set_name, self.seed).replace(name=name, **changes)
        if self.epsilon is None:
            return scenario
        return scenario.replace(**{"privacy.mechanism.noise_multiplier": _noise(scenario, self.epsilon)})


@cache
def _digest(job: Job) -> str:
    """Of what its run is made of, beside its own fields."""
    made_of = base(job.set_name).to_toml() + json.dumps(_changes(job), sort_keys=True)
    return hashlib.sha256(made_of.encode()).hexdigest()[:12]


def _changes(job: Job) -> dict[str, Any]:
    changes = dict(ABLATED.get(job.variant, {})) | (dict(PLAIN) if job.epsilon is None else {})
    training = base(job.set_name).training
    if (parts := changes.pop("parts", None)) is not None:
        changes["training.batch_size"] = training.batch_size // parts
        changes["training.local_steps"] = training.local_steps * parts
    return changes if job.epsilon is None else changes | {"privacy.mechanism.unit": job.unit}


def _noise(scenario: Scenario, epsilon: float) -> float:
    """With which the site that pays most pays ``epsilon`` over all rounds."""
    schedules = {planned.schedule for planned in planned_sites(scenario)}
    dearest = max(schedules, key=lambda schedule: schedule.rate)  # all take as many steps
    return _least(dearest, epsilon, scenario.privacy.delta, scenario.training.rounds)


@cache
def _least(schedule: Schedule, epsilon: float, delta: float, num_rounds: int) -> float:
    from privacy.accountants import TIGHTEST

    found = least_noise(epsilon, delta, schedule, num_rounds, "add_remove", TIGHTEST)
    assert found is not None, "an epsilon of 8 or less needs noise"
    return found


@cache
def base(set_name: str) -> Scenario:
    """The set's scenario as its file has it: with all tricks."""
    return load_scenario(HERE / f"{set_name}.toml")


@cache
def prepared(set_name: str, seed: int) -> Scenario:
    """With its sites; data are checked once."""
    return check_inputs(base(set_name).replace(seed=seed))[0]


def tuning(set_name: str) -> Iterator[Job]:
    """Runs of which validation alone is looked at."""
    unit = UNITS[set_name][0]
    for rate in RATES[set_name]:
        yield Job("tuning", set_name, unit, TUNING_EPSILON, ALL, rate, TUNING_SEED)
    for rate in PLAIN_RATES[set_name]:
        yield Job("tuning", set_name, unit, None, ALL, rate, TUNING_SEED)


def table(set_name: str, rate: float, plain_rate: float) -> Iterator[Job]:
    """Every epsilon and unit over all seeds."""
    for seed in SEEDS:
        for epsilon in EPSILONS:
            for unit in UNITS[set_name] if epsilon else UNITS[set_name][:1]:
                yield Job("table", set_name, unit, epsilon, ALL, rate if epsilon else plain_rate, seed)


def ablation(set_name: str, rate: float) -> Iterator[Job]:
    """The set without one trick at a time, with the rate that was chosen with all of them."""
    whole = Job("ablation", set_name, UNITS[set_name][0], ABLATION_EPSILON, ALL, rate, SEEDS[0])
    for seed in SEEDS:
        for variant in ABLATED:
            yield replace(whole, variant=variant, seed=seed)
