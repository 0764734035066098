"""What every strategy must keep; a new line in STRATEGIES is picked up by itself.

Oracles: the Protocol; inverse (scenario and back, state and back); laws (nothing changed is nothing done, the order of
the sites, one site alone). Whole rounds: ``tests/server/strategies/test_rounds.py``.
"""

import copy
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

from medfed import registry
from medfed.exchanged import CONTROL, EFFECTIVE_STEPS
from medfed.models.initial import initial_model
from medfed.params import load_weights, save_weights
from medfed.types import Update, Weights
from server.fold import MeanFold
from server.strategies import STRATEGIES
from server.strategies.contract import Aggregate, Strategy
from tests.contracts.test_toml_round_trip import _tuples
from tests.server.strategies.rounds import equal, tiny
from tests.server.strategies.values import PARAMETERS, aggregate, changes, weights

STEPS_FROM_AVERAGES = ("cyclic", "ditto", "fedavg", "fedbn", "fedper", "fedprox", "scaffold")  # w + mean change
every_strategy = pytest.mark.parametrize("name", STRATEGIES)


def _aggregate(mean: Weights) -> Aggregate:
    """With all that any strategy asks for."""
    control = {name: value for name, value in mean.items() if name in PARAMETERS}
    return aggregate(mean, {CONTROL: control}, {EFFECTIVE_STEPS: 1.0})


def _rounds(strategy: Any, count: int, state: Weights | None = None, first: int = 0) -> tuple[Weights, Weights]:
    now, state = weights(first), dict(state or {})
    for number in range(first, first + count):
        now, state = strategy(now, _aggregate(changes(number)), state)
    return now, state


@every_strategy
def test_keeps_the_protocol_and_names_a_client_side(name):
    strategy = STRATEGIES[name]()
    assert isinstance(strategy, Strategy)
    client = registry.build("client_strategy", strategy.client())
    assert registry.describe("client_strategy", client) == dict(strategy.client())


@every_strategy
def test_a_scenario_and_back(name):
    strategy = STRATEGIES[name]()
    text = tomli_w.dumps(registry.describe("strategy", strategy))
    assert registry.build("strategy", _tuples(tomllib.loads(text))) == strategy


@every_strategy
def test_gives_weights_of_the_same_form_and_a_state_of_finite_tensors(name):
    now, state = _rounds(STRATEGIES[name](), 3)
    assert {k: (v.shape, v.dtype) for k, v in now.items()} == {k: (v.shape, v.dtype) for k, v in weights().items()}
    assert all(value.isfinite().all() for value in (*now.values(), *state.values()))


@every_strategy
def test_changes_no_argument_in_place(name):
    strategy = STRATEGIES[name]()
    _, state = _rounds(strategy, 1)
    given = (weights(), _aggregate(changes()), state)
    before = copy.deepcopy(given)
    strategy(*given)
    strategy.broadcast(state)
    assert equal(given[0], before[0])
    assert equal(given[1].tensors, before[1].tensors)
    assert equal(given[1].extras[CONTROL], before[1].extras[CONTROL])
    assert equal(given[2], before[2])


@every_strategy
def test_equal_arguments_give_equal_bits(name):
    for one, other in zip(_rounds(STRATEGIES[name](), 3), _rounds(STRATEGIES[name](), 3), strict=True):
        assert equal(one, other)


@every_strategy
def test_a_state_read_back_from_a_file_is_as_good(name, tmp_path: Path):
    strategy = STRATEGIES[name]()
    _, state = _rounds(strategy, 2)
    save_weights(tmp_path / "state", state)
    assert equal(_rounds(strategy, 2, load_weights(tmp_path / "state"))[0], _rounds(strategy, 2, state)[0])


@every_strategy
def test_where_nothing_changed_nothing_is_done_at_first(name):
    zero = {key: torch.zeros_like(value) for key, value in changes().items()}
    now, _ = STRATEGIES[name]()(weights(), _aggregate(zero), {})
    assert equal(now, weights())


@every_strategy
def test_buffers_follow_the_plain_mean(name):
    now, _ = STRATEGIES[name]()(weights(), _aggregate(changes()), {})
    expected = weights()["norm.running_var"] + changes()["norm.running_var"]
    assert torch.equal(now["norm.running_var"], expected)
    assert int(now["norm.num_batches_tracked"]) == 15


@pytest.mark.parametrize("name", STEPS_FROM_AVERAGES)
def test_the_change_of_a_single_site_gives_its_own_weights(name):
    local = weights(7)
    change = {key: local[key] - value for key, value in weights().items()}
    now, _ = STRATEGIES[name]()(weights(), _aggregate(change), {})
    for key, value in local.items():
        torch.testing.assert_close(now[key], value)


@every_strategy
def test_the_order_of_the_sites_makes_no_difference_beyond_rounding(name):
    strategy = STRATEGIES[name]()
    means = []
    for order in ([1, 2, 3], [3, 1, 2]):
        fold = MeanFold()
        for seed in order:
            tensors = changes(seed)
            fold.add(tensors, strategy.weight(_update(seed)))
        means.append(strategy(weights(), _aggregate(fold.result()), {})[0])
    for key, value in means[0].items():
        torch.testing.assert_close(means[1][key], value, rtol=1e-4, atol=1e-5)


def _update(num_examples: int) -> Update:
    return Update("north", {}, num_examples, 10, {"loss": 1.0, EFFECTIVE_STEPS: 10.0}, {CONTROL: {}})


@every_strategy
def test_a_weight_is_finite_and_not_negative(name):
    assert 0.0 <= STRATEGIES[name]().weight(_update(10**12)) <= 1e6


@every_strategy
def test_stages_hold_every_site_once(name):
    sites = ["a", "b", "c", "d"]
    stages = STRATEGIES[name]().stages(sites, np.random.default_rng(1))
    assert sorted(site for stage in stages for site in stage) == sites
    assert stages == STRATEGIES[name]().stages(sites, np.random.default_rng(1))


@every_strategy
def test_what_is_personal_is_a_part_of_the_model(name):
    model = initial_model(tiny())
    assert STRATEGIES[name]().personal(model) < set(model.state_dict())
