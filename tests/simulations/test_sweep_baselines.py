"""When two runs of a sweep may share their baselines. Oracles: equal bits of models, keys that must differ."""

from collections.abc import Callable
from typing import Any

import pytest

from medfed.data.dataset import open_dataset
from medfed.data.location import resolve_path
from simulations.baselines.tasks import Task, train_baseline
from simulations.inputs import check_inputs
from simulations.sweeps.baselines import WITHOUT_EFFECT, baseline_key

OTHER = {
    "name": "other",
    "training.trainer": {"name": "tests.simulations.faulty:Faulty", "sites": ()},
    "federation.strategy": {"name": "fedavg", "weighting": "uniform"},
    "federation.sites_per_round": 2,
    "federation.quorum": 0.25,
    "federation.deadline_seconds": 9.0,
    "federation.join_seconds": 9.0,
    "adversary": {"sites": 1, "behaviour": {"name": "label_flip"}},
    "privacy": {"mechanism": {"name": "local", "clip": 1.0, "noise_multiplier": 1.0}},
    "record.rounds": (1,),
    "engine.workers": 2,
    "engine.window_mb": 7,
    "engine.spool": True,
}


def test_keys_without_effect_change_no_bit_of_a_baseline(tiny: Callable[..., Any]) -> None:
    """Law: the pooled and a local model of two scenarios that differ in all those keys are bit-equal."""
    fast = {"training.rounds": 1, "training.local_steps": 2}
    other = {key: value for key, value in OTHER.items() if key in WITHOUT_EFFECT}
    combine = {"federation.aggregator", "federation.compression", "federation.secure_aggregation"}
    assert set(WITHOUT_EFFECT) - set(other) <= combine
    scenarios = [check_inputs(tiny(**fast, **changes))[0] for changes in ({}, other)]
    assert baseline_key(scenarios[0]) == baseline_key(scenarios[1])
    for task in (Task("pooled"), Task("local", "site-02")):
        first, second = (
            train_baseline(s, open_dataset(resolve_path(s.data.path), s.data, s.model_task, s.seed), task)
            for s in scenarios
        )
        assert first.tests == second.tests
        assert all(value.equal(second.weights[name]) for name, value in first.weights.items())


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"training.rounds": 3},
        {"model.width": 5},
        {"federation.leave_out": ("site-01",)},
        {"data.partition.alpha": 0.4},
        {"evaluation.resamples": 200},
        {"engine.deterministic": False},
        {"baselines.local": False},
    ],
)
def test_all_else_makes_baselines_of_its_own(tiny: Callable[..., Any], change: dict[str, Any]) -> None:
    assert baseline_key(check_inputs(tiny(**change))[0]) != baseline_key(check_inputs(tiny())[0])
