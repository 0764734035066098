"""Adversarial training in whole runs.

Oracles: plain training, bit for bit, where eps or beta is 0; the bytes of the run in one process; the scenario's rules.
"""

from pathlib import Path
from typing import Any

import pytest

from medfed.config import load_scenario
from medfed.errors import ScenarioError
from medfed.models.initial import initial_model
from medfed.params import get_weights
from medfed.training.local import train_local
from medfed.types import Weights
from robustness.defences.trades import TRADES
from simulations.baselines.tasks import Task, train_baseline
from simulations.inputs import check_inputs
from simulations.run import resume, simulate
from tests.server.strategies.rounds import equal as same
from tests.server.strategies.rounds import tiny, train
from tests.simulations.test_resume import Cut, cut_at

PGD = {"name": "pgd", "steps": 2}
SMALL = {"training.local_steps": 2, "baselines.local": False, "baselines.pooled": False, "evaluation.every": 2}
NOTHING = [
    {"name": "pgd", "eps_grey_levels": 0.0, "steps": 2},
    {"name": "fast", "eps_grey_levels": 0.0},
    {"name": "trades", "beta": 0.0, "steps": 2},
]


def trained(**changes: Any) -> tuple[Weights, float]:
    """Weights and loss after three local steps at one site."""
    scenario, dataset = check_inputs(tiny(**changes))
    model = initial_model(scenario)
    data = dataset.site("site-01")
    result = train_local(model, data.train, scenario, data.site, 1)
    return get_weights(model), result.loss


@pytest.mark.parametrize(
    ("adversarial", "precision"), [*((fields, "float32") for fields in NOTHING), (NOTHING[0], "bfloat16")]
)
def test_eps_0_and_beta_0_are_plain_training_bit_for_bit(adversarial, precision):
    plain, loss = trained(**{"training.precision": precision})
    found, found_loss = trained(**{"training.precision": precision, "training.adversarial": adversarial})
    assert same(found, plain)
    assert found_loss == loss


def test_dropout_and_batch_norm_of_training_are_those_of_plain_training_at_eps_0():
    more = {"model.dropout": 0.3, "model.norm": "batch", "federation.batch_norm": "average"}
    found, _ = trained(**more, **{"training.adversarial": NOTHING[0]})
    assert same(found, trained(**more)[0])


def test_frozen_batch_norm_stays_frozen():
    more = {"model.norm": "batch", "federation.batch_norm": "frozen", "training.adversarial": PGD}
    found, _ = trained(**more)
    assert all(bool((value == 0).all()) for name, value in found.items() if name.endswith("running_mean"))


@pytest.mark.parametrize("name", ["pgd", "fast", "trades"])
def test_it_changes_what_is_trained_and_raises_the_loss(name):
    plain, loss = trained()
    found, found_loss = trained(**{"training.adversarial": {"name": name, "eps_grey_levels": 8.0}})
    assert not same(found, plain)
    assert found_loss > loss


@pytest.mark.parametrize("strategy", ["fedprox", "scaffold", "ditto"])
def test_what_a_strategy_adds_at_a_site_is_added_all_the_same(strategy):
    """At eps 0 the strategy's own bits; above, others."""

    def rounds(adversarial: Any) -> Weights:
        changes = {"federation.strategy": {"name": strategy}, "training.adversarial": adversarial}
        return train(tiny(**SMALL, **changes), 2)[0]

    plain = rounds("none")
    assert same(rounds(NOTHING[0]), plain)
    assert not same(rounds(PGD), plain)


def test_workers_and_a_cut_change_no_bit(tmp_path: Path):
    def model(folder: Path) -> bytes:
        return (folder / "tiny" / "model.safetensors").read_bytes()

    changes = SMALL | {"federation.strategy": {"name": "scaffold"}, "training.adversarial": PGD}
    simulate(tiny(**changes), out=tmp_path / "whole")
    with pytest.raises(Cut):
        simulate(tiny(**changes), out=tmp_path / "cut", listener=cut_at(2, "site-02"))
    resume(tmp_path / "cut" / "tiny")
    simulate(tiny(**changes, **{"engine.workers": 2}), out=tmp_path / "2 workers")
    assert model(tmp_path / "cut") == model(tmp_path / "whole")
    assert model(tmp_path / "2 workers") == model(tmp_path / "whole")


def test_baselines_are_trained_the_same_way():
    def pooled(adversarial: Any) -> Weights:
        scenario, dataset = check_inputs(tiny(**{"training.rounds": 1, "training.adversarial": adversarial}))
        return train_baseline(scenario, dataset, Task("pooled")).weights

    assert not same(pooled(PGD), pooled("none"))
    assert same(pooled(NOTHING[0]), pooled("none"))


def test_the_scenario_page_of_a_run_says_it_in_full(tmp_path: Path):
    (tmp_path / "tiny.toml").write_text(tiny(**{"training.adversarial": {"name": "trades", "beta": 2.0}}).to_toml())
    assert load_scenario(tmp_path / "tiny.toml").training.adversarial == TRADES(beta=2.0)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "pgd", "eps": 4.0}, r"unknown key; .*allowed here: eps_grey_levels, steps, step"),
        ({"name": "pgd", "steps": 0}, "greater than or equal to 1"),
        ({"name": "trades", "beta": -1.0}, "greater than or equal to 0"),
        ({"name": "fast", "eps_grey_levels": 256.0}, "less than or equal to 255"),
        ({"name": "pdg"}, 'unknown adversarial_training "pdg"; did you mean "pgd"'),
    ],
)
def test_a_wrong_key_or_value_is_one_line(fields, said):
    with pytest.raises(ScenarioError, match=said) as refused:
        tiny(**{"training.adversarial": fields})
    assert "\n" not in str(refused.value)


def test_whole_numbers_are_grey_levels_too():
    assert tiny(**{"training.adversarial": {"name": "pgd", "eps_grey_levels": 4}}).training.adversarial.steps == 7
