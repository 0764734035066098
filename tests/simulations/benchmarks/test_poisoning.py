"""The matrix of malicious sites: what it runs, keeps and writes.

Oracles: by hand, the tables of plug-ins, the plain trainer and ClientApp.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.trainers.standard import Standard
from medfed.config import load_scenario
from medfed.models.initial import initial_model
from medfed.params import get_weights
from medfed.types import SiteData
from privacy.gaussian import gaussian_epsilon
from robustness.aggregation import AGGREGATORS
from robustness.byzantine import BYZANTINE
from server.strategies import STRATEGIES as SERVER_STRATEGIES
from simulations.benchmarks.noniid import runs
from simulations.benchmarks.poisoning import page, pair, plan, remembered, sources
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
from simulations.benchmarks.poisoning.remembered import Remembered
from simulations.benchmarks.poisoning.work import work
from simulations.inputs import check_inputs

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


def test_runs_without_attack_are_shared_unless_the_rule_is_told_how_many_are_malicious() -> None:
    for rule in columns(4):
        few, many = (Pair(CLEAN, rule, number, 1) for number in (2, 6))
        told = rule.partition("+")[0] in {"trimmed_mean", "krum", "multi_krum", "bulyan"}
        assert (few.label != many.label) == told
        assert (few.scenario() != many.scenario()) == told
    assert Pair("lazy", FEDAVG, 2, 1).label != Pair("lazy", FEDAVG, 6, 1).label


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
    assert "Not finished" not in text
    assert "Not finished: 3 of 9 runs" in page.page(found, attacks, names, [1], "COMMAND", missing=3)
    more = list(pairs(attacks, names, [1], 2))
    assert dict(work(more, tmp_path, workers=2, end=0.0)) == found  # the time is over: no process is started
    assert next(row.case for row in report(found, attacks, names, [1])) == "1 malicious: clean FedAvg, accuracy"
    assert pair.stored(Pair("nan", FEDAVG, 1, 2), tmp_path) is None


def test_an_outcome_is_kept_until_what_it_depends_on_is_another(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Pair(CLEAN, "bulyan", 1, 1)
    kept = pair.run(one, tmp_path)
    assert pair.stored(one, tmp_path) == kept
    file = tmp_path / f"{one.label}.json"
    older = kept.scenario.replace("quorum = ", "no_such_key = ")

    def written(scenario: str) -> Outcome | None:
        file.write_text(kept.model_copy(update={"scenario": scenario}).model_dump_json())
        return pair.stored(one, tmp_path)

    before_the_key = "".join(line for line in kept.scenario.splitlines(True) if not line.startswith("quorum = "))
    assert before_the_key != kept.scenario != older
    assert written(before_the_key) is not None  # written by a medfed that did not have this key yet
    assert written(kept.scenario.replace("rounds = 2", "rounds = 3")) is None
    assert written(older) is None  # a key that is gone
    file.write_text(json.dumps({"scenario": "x"}))
    assert pair.stored(one, tmp_path) is None  # as outcomes were before they named their code
    file.write_text(kept.model_dump_json())
    monkeypatch.setattr(pair, "code_digest", lambda *given: "other")
    assert pair.stored(one, tmp_path) is None


def test_code_is_that_of_the_plug_ins_and_of_what_they_import_of_their_room() -> None:
    scenario = Pair("min_max", "bucketing", 4, 1).scenario()
    names = sources._with_imports([pair.__name__, *sources._plugin_modules(scenario)])
    rooms = {
        "robustness.aggregation.bucketing",
        "robustness.aggregation.mixed_rows",  # imported by it
        "robustness.aggregation.median",  # its inner rule
        "robustness.byzantine.min_max",
        "robustness.detection.outliers",  # imported by a detector
    }
    assert rooms <= set(names)
    assert "robustness.aggregation.krum" not in names
    assert not {name for name in names if name.startswith("server.") and "strategies" not in name}


def test_comments_and_docstrings_are_no_code() -> None:
    plain = sources.read("def f():\n    return 1\n")
    assert sources.read('"""What."""\n\n\ndef f():  # why\n    """That."""\n    return 1\n') == plain
    assert sources.read("def f():\n    return 2\n") != plain


def test_what_is_remembered_is_what_training_gives(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each case differs from the first in one thing that training reads."""
    scenario, dataset = check_inputs(plan.base())
    first, second = (dataset.site(site) for site in scenario.training_sites[:2])
    flipped = replace(first, train=replace(first.train, targets=1 - first.train.targets))

    def trained(
        trainer: Standard | Remembered, site: SiteData = first, number: int = 1, **changes: object
    ) -> tuple[object, ...]:
        changed = scenario.replace(**changes)
        model = initial_model(changed)
        result = trainer(model, site.train, changed, site.site, number)
        return result, {name: value.tolist() for name, value in get_weights(model).items()}

    cases: list[dict[str, Any]] = [
        {},
        {"site": second},
        {"site": flipped},
        {"number": 2},
        {"seed": 2},
        {"training.local_steps": 2},
        {"model.width": 3},
    ]
    expected = [trained(Standard(), **case) for case in cases]
    assert [trained(Remembered(), **case) for case in cases] == expected
    monkeypatch.setattr(remembered, "train_local", lambda *given, **more: pytest.fail("it is trained anew"))
    assert [trained(Remembered(), **case) for case in cases] == expected


def test_sites_that_share_what_they_do_end_as_sites_that_do_not(tiny: None, tmp_path: Path) -> None:
    ends = []
    for trainer, app in (
        ("standard", "client.app:app"),
        (f"{remembered.__name__}:Remembered", "simulations.benchmarks.poisoning.sites:app"),
    ):
        given = plan.base().replace(**{"training.trainer": {"name": trainer}, "adversary.sites": 2})
        scenario, _ = check_inputs(given.replace(**{"adversary.behaviour": {"name": "alie", "z": 1.0}}))
        runs.federate(scenario, tmp_path, "test", app)
        done = runs.finished(tmp_path / scenario.name, scenario)
        assert done is not None
        summary = done.summary.model_dump(exclude={"seconds"})
        rounds = [line.model_dump(include={"failed"}) for line in done.rounds()]
        ends.append((summary, rounds, (done.folder / "model.safetensors").read_bytes()))
    assert ends[0] == ends[1]


def test_processes_give_what_one_gives(tmp_path: Path) -> None:
    """Of runs that are refused, which cost no training."""
    wanted = list(pairs(["lazy"], ["bulyan"], [6, 7], 1))
    beside = dict(work(wanted, tmp_path / "beside", workers=2))
    assert all("bulyan needs" in outcome.refused for outcome in beside.values())
    assert beside == dict(work(wanted, tmp_path / "here", workers=1))
