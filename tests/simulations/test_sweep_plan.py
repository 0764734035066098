"""What a sweep will run, found and checked before its first run. Oracles: planted faults, points by hand."""

from pathlib import Path

import pytest

from medfed.errors import DataError, ScenarioError
from simulations.sweeps.plan import make_plan
from simulations.sweeps.run import sweep


@pytest.mark.parametrize(
    ("grid", "overrides", "told"),
    [
        (("optimizer.lr=0.1,1e-1",), (), "are the same scenario"),
        (("optimizer.lr=0.1", "training.optimizer.lr=0.2"), (), "given twice"),
        (("optimizer.lr=0.1,0.2",), ("optimizer.lr=0.3",), "also given with --set"),
        (("optimizer.lr=0.1,-1.0",), (), r"grid point lr--1\.0: .*training\.optimizer\.lr"),
        (("strategy.name=fedavg,fedprx",), (), "grid point strategy-fedprx: .*unknown strategy"),
        (("evaluation.headline=auroc,accuracy",), (), "headline metrics differ"),
        (("training.rounds=1,2",), ("training.rounts=1",), "training.rounts"),
        (("aggregator.num_byzantine=-1,-2",), ("aggregator.name=trimmed_mean",), r"num_byzantine--1: .*; got -1"),
        (("training.rounds=1,2",), ("aggregator.name=trimmed_mean",), "^[^\n]*num_byzantine[^\n]*$"),
    ],
)
def test_a_combination_that_cannot_run_is_found_before_the_first_run(
    tiny_file: Path, grid: tuple[str, ...], overrides: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ScenarioError, match=told):
        sweep(tiny_file, grid, overrides=overrides, out=tiny_file.parent)
    assert not (tiny_file.parent / "tiny-sweep").exists()


def test_data_that_cannot_be_divided_are_found_before_the_first_run(tiny_file: Path) -> None:
    with pytest.raises((ScenarioError, DataError), match="grid point num_sites-5000, seed 1: "):
        sweep(tiny_file, ("partition.num_sites=2,5000",), out=tiny_file.parent)
    assert not (tiny_file.parent / "tiny-sweep").exists()


def test_seeds_count_up_from_the_scenarios_and_data_make_groups(tiny_file: Path) -> None:
    plan = make_plan(tiny_file, ("partition.alpha=0.3,1.0", "strategy.weighting=examples,uniform"), 2, ("seed=5",))
    assert plan.seeds == (5, 6)
    assert [sorted(point.scenarios) for point in plan.points] == [[5, 6]] * 4
    assert plan.points[0].scenarios[6].name == "alpha-0.3_weighting-examples-seed6"
    assert plan.points[0].scenarios[5].federation.sites == ("site-01", "site-02", "site-03")


def test_a_base_that_needs_what_the_grid_gives_is_no_fault(tiny_file: Path) -> None:
    """trimmed_mean has no default for num_byzantine: the file with --set alone is not valid."""
    overrides = ("aggregator.name=trimmed_mean", "seed=4")
    plan = make_plan(tiny_file, ("aggregator.num_byzantine=0,1",), 2, overrides)
    found = [(p.label, sorted(p.scenarios), p.scenarios[4].federation.aggregator.num_byzantine) for p in plan.points]
    assert found == [("num_byzantine-0", [4, 5], 0), ("num_byzantine-1", [4, 5], 1)]
    assert plan.name == "tiny-sweep"
