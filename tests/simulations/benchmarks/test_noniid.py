"""The non-IID benchmark: what it chooses, what it refuses, what it writes. Oracles: by hand, the strategies' table."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from medfed.config import load_scenario
from medfed.types import Task
from server.strategies import STRATEGIES
from simulations.benchmarks.noniid import choose, figures, page, plan, runs, work
from simulations.benchmarks.noniid.choose import Validation
from simulations.benchmarks.noniid.patch_cnn import PatchCNN
from simulations.benchmarks.noniid.plan import SETS, Trial, base, strategies, trials

SMALL = ("training.rounds=1", "training.local_steps=1", "evaluation.every=1", "engine.workers=1")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The pneumonia set with a single step, and two strategies with one value each."""
    monkeypatch.setattr(plan, "base", lambda name: load_scenario(plan.HERE / f"{name}.toml", SMALL))
    for module in (work, page):
        monkeypatch.setattr(module, "strategies", lambda: iter(["fedavg", "cyclic"]))
        monkeypatch.setattr(module, "SEEDS", (1,))
    monkeypatch.setattr(figures, "SEEDS", (1,))
    for module in (work, page, choose):
        monkeypatch.setattr(module, "trials", lambda name, strategy: [Trial(name, strategy, "{}")])
    plan.prepared_base.cache_clear()
    plan._scenario.cache_clear()
    yield
    plan.prepared_base.cache_clear()
    plan._scenario.cache_clear()


def test_every_strategy_has_values_to_try_on_every_set() -> None:
    assert sorted(strategies()) == sorted(STRATEGIES)
    for set_name in SETS:
        for strategy in STRATEGIES:
            found = trials(set_name, strategy)
            assert len(found) == len({trial.label for trial in found}) >= 1
            for trial in found:
                fields = {key: value for key, value in trial.fields.items() if key != plan.LOCAL_RATE}
                chosen = base(set_name).replace(**{"federation.strategy": {"name": strategy, **fields}})
                assert type(chosen.federation.strategy) is STRATEGIES[strategy]


def test_the_best_is_chosen_by_the_metric_in_steps_of_a_hundredth_then_by_the_loss_then_by_order() -> None:
    a, b, c, d = (Trial("skin", "fedprox", f'{{"mu": {mu}}}') for mu in (0.1, 0.2, 0.3, 0.4))
    values = {a: Validation(0.504, 1.0), b: Validation(0.496, 0.9), c: None, d: Validation(0.496, 0.9)}
    assert choose.best(values) == b
    assert choose.best(values | {c: Validation(0.51, 9.0)}) == c
    assert choose.best({a: None}) is None


def test_the_section_between_the_markers_is_exchanged_and_nothing_else() -> None:
    old = f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n"
    assert page.replace_section(old, "new") == "before\nnew\nafter\n"
    with pytest.raises(ValueError, match="both markers"):
        page.replace_section("no markers", "new")


def test_tuning_runs_baselines_and_page_from_nothing_to_the_end(tiny: None, tmp_path: Path) -> None:
    work.work(["pneumonia"], tmp_path)
    written = page.section(["pneumonia"], tmp_path)
    assert "| fedavg | - |" in written
    assert "not finished" not in written
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix != ".lock"}
    work.work(["pneumonia"], tmp_path)  # nothing is done twice
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_run_that_cannot_be_finished_leaves_its_cause(tmp_path: Path) -> None:
    wild = load_scenario(plan.HERE / "pneumonia.toml", (*SMALL, "optimizer.lr=1e30", "training.local_steps=3"))
    runs.federate(runs.prepared(wild), tmp_path)
    assert "divergence" in (runs.failure(tmp_path / "pneumonia") or "")
    assert runs.finished(tmp_path / "pneumonia", runs.prepared(wild)) is None


def _hold(folder: Path, ready: "multiprocessing.synchronize.Event", end: "multiprocessing.synchronize.Event") -> None:
    with work._locked(folder):
        ready.set()
        end.wait(30)


def test_what_another_process_has_is_left_to_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, end = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "run", ready, end))
    other.start()
    assert ready.wait(30)
    with work._locked(tmp_path / "run") as mine:
        assert not mine
    end.set()
    other.join()
    with work._locked(tmp_path / "run") as mine:
        assert mine


def test_the_patch_network_reads_each_patch_of_four_pixels_once() -> None:
    model = PatchCNN(width=4)(Task("classification", ("a", "b", "c"), "softmax", 3, 64))
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 3)
    parameters = sum(value.numel() for value in model.parameters())
    by_hand = (3 * 16 * 4 + 4) + (4 * 9 * 8 + 16) + (8 * 9 * 8 + 16) + (8 * 3 + 3)
    assert parameters == by_hand
