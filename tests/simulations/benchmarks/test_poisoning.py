"""The matrix of malicious sites: what it runs, keeps, counts and writes. Oracles: by hand, the tables of plug-ins."""

from pathlib import Path

import pytest

from medfed.config import load_scenario
from privacy.gaussian import gaussian_epsilon
from robustness.aggregation import AGGREGATORS
from robustness.byzantine import BYZANTINE
from server.strategies import STRATEGIES as SERVER_STRATEGIES
from simulations.benchmarks.poisoning import figures, page, pair, plan
from simulations.benchmarks.poisoning.__main__ import report
from simulations.benchmarks.poisoning.pair import SERVER_CHECKS, Outcome
from simulations.benchmarks.poisoning.plan import (
    ATTACKS,
    CLEAN,
    FEDAVG,
    NOISED,
    STRATEGIES,
    STRATEGY_ATTACKS,
    STRATEGY_COLUMNS,
    Pair,
    columns,
    pairs,
    rules,
)
from simulations.benchmarks.poisoning.work import work

SMALL = (
    "training.rounds=2",
    "training.local_steps=1",
    "evaluation.every=2",
    "record.rounds=[1]",
    "data.partition.num_sites=5",
    "model.width=2",
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five sites, two rounds."""
    for module in (plan, page):
        monkeypatch.setattr(module, "base", lambda: load_scenario(plan.HERE / "pneumonia.toml", SMALL))


def outcome(accuracy: float | None, malicious: int = 1, **more) -> Outcome:
    sites = ("a", "b", "c", "d")
    return Outcome(scenario="x", accuracy=accuracy, sites=sites, malicious=sites[:malicious], **more)


def test_every_behaviour_and_every_rule_is_in_the_matrix() -> None:
    assert {fields["name"] for fields in ATTACKS.values()} == set(BYZANTINE)
    assert {fields["name"] for fields in rules(4).values()} == set(AGGREGATORS)
    assert {*STRATEGIES, "fedavg", "fedbn", "fedper", "ditto"} == set(SERVER_STRATEGIES)


def test_every_pair_is_a_scenario_of_its_own() -> None:
    wanted = list(pairs(list(ATTACKS), list(columns(4)), [4], 1))
    of_strategies = len(STRATEGY_COLUMNS) * (len(STRATEGY_ATTACKS) + 1)
    assert len(wanted) == (len(ATTACKS) + 1) * (len(rules(4)) + len(NOISED)) + of_strategies
    made = [one.scenario() for one in wanted]
    assert len({scenario.name for scenario in made}) == len(made)
    assert {scenario.adversary.sites for scenario in made} == {0, 4}


def test_columns_with_noise_say_their_epsilon(tiny: None, tmp_path: Path) -> None:
    names = ["mean+central", "median+local"]
    found = dict(work(list(pairs([], names, [1], 1)), tmp_path, workers=1))
    central, local = (found[Pair(CLEAN, name, 1, 1)].epsilon for name in names)
    assert central == pytest.approx(gaussian_epsilon(2**0.5 / plan.CENTRAL_NOISE, 1e-5))
    assert local == pytest.approx(gaussian_epsilon(2**0.5 / plan.LOCAL_NOISE, 1e-5))
    text = page.page(found, [], names, [1], "COMMAND")
    assert f"`mean+central` is mean with noise multiplier {plan.CENTRAL_NOISE:g} (epsilon {central:,.0f})" in text
    assert "hides nothing" in text


def test_runs_are_kept_refusals_say_why_and_the_page_has_every_figure(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacks, names = ["nan", "backdoor"], [FEDAVG, "bulyan"]
    wanted = list(pairs(attacks, names, [1], 1))
    found = dict(work(wanted, tmp_path, workers=1))
    assert set(found) == set(wanted)
    refusal = found[Pair("nan", "bulyan", 1, 1)].refused
    assert "bulyan needs at least 7 updates at once, but 5 sites train at once" in refusal
    broken = found[Pair("nan", FEDAVG, 1, 1)]
    assert broken.named[SERVER_CHECKS] == broken.malicious
    assert set(found[Pair("backdoor", FEDAVG, 1, 1)].success) == {"backdoor", "backdoor_letter", "model_replacement"}
    assert {path.suffix for path in tmp_path.iterdir()} == {".json"}

    def no_run(*arguments: object) -> None:
        raise AssertionError("a finished pair is not run again")

    monkeypatch.setattr(pair, "run", no_run)
    assert dict(work(wanted, tmp_path, workers=1)) == found
    text = page.page(found, attacks, names, [1], "COMMAND")
    assert "Written by `COMMAND`" in text
    assert "refused: bulyan needs at least 7 updates" in text
    assert "not run" not in text
    assert next(row.case for row in report(found, attacks, names, [1])) == "1 malicious: clean FedAvg, accuracy"
    assert pair.stored(Pair("nan", FEDAVG, 1, 2), tmp_path) is None


def test_a_changed_benchmark_runs_anew(tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Pair(CLEAN, "bulyan", 1, 1)
    pair.run(one, tmp_path)
    assert pair.stored(one, tmp_path) is not None
    other = load_scenario(plan.HERE / "pneumonia.toml", (*SMALL, "training.optimizer.lr=0.3"))
    monkeypatch.setattr(plan, "base", lambda: other)
    assert pair.stored(one, tmp_path) is None


def test_points_are_lost_against_the_same_rule_and_seed() -> None:
    clean = {1: outcome(0.9), 2: outcome(0.8)}
    attacked = {1: outcome(0.7), 2: outcome(0.7), 3: outcome(0.1)}
    assert figures.points_lost(attacked, clean).value == pytest.approx((20.0 + 10.0) / 2)
    assert figures.points_lost({1: outcome(None)}, clean).value is None


def test_the_best_rule_is_that_which_loses_least_and_does_not_stop() -> None:
    found = {
        Pair(CLEAN, "krum", 1, 1): outcome(0.9),
        Pair("nan", "krum", 1, 1): outcome(0.8),
        Pair(CLEAN, "median", 1, 1): outcome(0.8),
        Pair("nan", "median", 1, 1): outcome(0.77),
        Pair(CLEAN, "bulyan", 1, 1): outcome(0.9),
        Pair("nan", "bulyan", 1, 1): outcome(None, stopped="diverged"),
    }
    best = figures.least_lost(found, "nan", ["krum", "median", "bulyan"], 1)
    assert best is not None
    assert best[0] == "median"
    assert best[1] == pytest.approx(3.0)
    assert figures.least_lost(found, "inf", ["krum"], 1) is None


def test_recall_and_false_alarms_by_hand() -> None:
    runs = [
        outcome(0.9, malicious=2, named={"one": ("a", "c"), "two": ("b",)}),
        outcome(0.9, malicious=1, named={"one": ("a",), "two": ()}),
    ]
    both = figures.named(runs, ["one", "two"])
    assert (both.recall, both.false_alarms) == (3 / 3, 1 / 5)
    assert figures.named(runs, ["one"]).recall == 2 / 3
    assert figures.named([outcome(0.9, malicious=0)], ["one"]).recall is None
