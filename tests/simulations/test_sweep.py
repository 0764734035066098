"""Whole sweeps on bundled images. Oracles: single runs with baselines of their own, equal bytes, exit codes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medfed import cli, events
from medfed.config import load_scenario
from medfed.data.dataset import open_dataset
from medfed.data.location import resolve_path
from medfed.errors import DataError, RunFolderError, ScenarioError, StopRequested
from medfed.report.sweep_results import RunState, SweepResult
from medfed.results import RunResult, Status
from simulations.baselines.tasks import Task, train_baseline
from simulations.inputs import check_inputs
from simulations.run import simulate
from simulations.sweeps.baselines import WITHOUT_EFFECT, baseline_key
from simulations.sweeps.plan import make_plan
from simulations.sweeps.run import sweep

GRID = ("strategy.weighting=examples,uniform",)
FAST = ("training.rounds=1", "training.local_steps=2", "model.width=2")
NO_BASELINES = ("baselines.local=false", "baselines.pooled=false")


def write(folder: Path) -> Path:
    from tests.simulations.conftest import TINY

    (folder / "tiny.toml").write_text(TINY)
    return folder / "tiny.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SweepResult]:
    """Two strategies by two seeds, with baselines."""
    place = tmp_path_factory.mktemp("sweep")
    return sweep(write(place), GRID, seeds=2, overrides=FAST, out=place)


def again(folder: Path, **changes: Any) -> tuple[Path, SweepResult]:
    """The same call for the sweep that lies in ``folder``."""
    arguments = {"seeds": 2, "overrides": FAST, "out": folder.parent} | changes
    return sweep(folder.parent / "tiny.toml", arguments.pop("grid", GRID), **arguments)


def test_every_run_is_that_of_a_run_by_itself_with_baselines_of_its_own(
    done: tuple[Path, SweepResult], tmp_path: Path
) -> None:
    folder, result = done
    single = load_scenario(folder.parent / "tiny.toml", (*FAST, "strategy.weighting=uniform"))
    alone = simulate(single.replace(seed=2), out=tmp_path)
    found = RunResult.load(folder / "weighting-uniform-seed2")
    assert found.summary.sites == alone.summary.sites
    assert found.summary.mean == alone.summary.mean
    assert found.summary.cross_site == alone.summary.cross_site
    assert found.summary.gap_closed == alone.summary.gap_closed
    assert (found.folder / "model.safetensors").read_bytes() == (alone.folder / "model.safetensors").read_bytes()
    run = result.rows[1].runs[1]
    assert run.test == (alone.summary.mean.federated or {})["auroc"]
    last = [site.val["auroc"] for site in alone.rounds()[-1].sites.values()]
    assert run.validation == pytest.approx(sum(value or 0.0 for value in last) / 3)
    assert run.gap_closed == alone.summary.gap_closed["auroc"]
    assert "Local only" in (found.folder / "report.html").read_text()


def test_the_table_and_the_files(done: tuple[Path, SweepResult]) -> None:
    folder, result = done
    assert result.status is Status.COMPLETED
    assert SweepResult.model_validate_json((folder / "sweep.json").read_bytes()) == result
    assert [row.settings for row in result.rows] == [
        {"federation.strategy.weighting": w} for w in ("examples", "uniform")
    ]
    assert [row.test.n for row in result.rows] == [2, 2]
    assert sum(row.best for row in result.rows) == 1
    assert len(list((folder / "baselines").iterdir())) == 2  # one per seed: the strategies share them
    assert (folder / "report.html").is_file()


def test_the_same_call_keeps_what_is_finished_and_makes_up_for_what_is_not(done: tuple[Path, SweepResult]) -> None:
    folder, result = done
    kept = folder / "weighting-examples-seed1" / "summary.json"
    before = kept.stat().st_mtime_ns
    lost = folder / "weighting-uniform-seed1"
    bytes_before = (lost / "model.safetensors").read_bytes()
    summary = json.loads((lost / "summary.json").read_text())
    (lost / "summary.json").write_text(json.dumps(summary | {"status": "STOPPED"}))
    started: list[str] = []
    _, repeated = again(folder, on_run=lambda number, total, name: started.append(f"{number}/{total} {name}"))
    assert started == ["2/4 weighting-uniform-seed1"]
    assert kept.stat().st_mtime_ns == before
    assert (lost / "model.safetensors").read_bytes() == bytes_before
    assert [row.test for row in repeated.rows] == [row.test for row in result.rows]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"seeds": 3}, "seeds"),
        ({"grid": ("strategy.weighting=uniform",)}, "grid.federation.strategy.weighting"),
        ({"overrides": (*FAST, "training.batch_size=8")}, "scenario.training.batch_size"),
    ],
)
def test_the_folder_of_another_sweep_is_refused_with_the_reason(done: Any, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(RunFolderError, match="holds another sweep: " + key.replace(".", r"\.")) as caught:
        again(done[0], **changes)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_sweep_is_refused(file: Path) -> None:
    (file.parent / "tiny-sweep").mkdir()
    (file.parent / "tiny-sweep" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match="not the folder of a sweep"):
        sweep(file, GRID, overrides=FAST, out=file.parent)
    (file.parent / "tiny-sweep" / "sweep.toml").write_text("[[")
    with pytest.raises(RunFolderError, match="is damaged"):
        sweep(file, GRID, overrides=FAST, out=file.parent)
    assert (file.parent / "tiny-sweep" / "thesis.tex").exists()


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
    ],
)
def test_a_combination_that_cannot_run_is_found_before_the_first_run(
    file: Path, grid: tuple[str, ...], overrides: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ScenarioError, match=told):
        sweep(file, grid, overrides=overrides, out=file.parent)
    assert not (file.parent / "tiny-sweep").exists()


def test_data_that_cannot_be_divided_are_found_before_the_first_run(file: Path) -> None:
    with pytest.raises((ScenarioError, DataError), match="grid point num_sites-5000, seed 1: "):
        sweep(file, ("partition.num_sites=2,5000",), out=file.parent)
    assert not (file.parent / "tiny-sweep").exists()


def test_a_run_that_fails_is_a_row_that_says_so_and_the_others_go_on(file: Path) -> None:
    trainers = "standard,{name='tests.simulations.faulty:Faulty', sites=['site-01', 'site-02', 'site-03']}"
    folder, result = sweep(file, (f"training.trainer={trainers}",), overrides=(*FAST, *NO_BASELINES), out=file.parent)
    good, bad = (row.runs[0] for row in result.rows)
    assert (good.state, bad.state, result.status) == (RunState.COMPLETED, RunState.FAILED, Status.DEGRADED)
    assert bad.cause.startswith("QuorumError: round 1: only 0 of 3 sites delivered")
    assert "Traceback" in (folder / bad.folder / "error.txt").read_text()
    assert (result.rows[1].test.value, result.rows[0].gap_closed.value) == (None, None)
    assert "1 of 2 runs failed" in (folder / "report.html").read_text()


def test_a_stopped_sweep_goes_on_to_the_same_bytes(done: tuple[Path, SweepResult], file: Path) -> None:
    def stop(event: events.Event) -> None:
        if isinstance(event, events.RoundDone):
            raise StopRequested("stopped by the user")

    with pytest.raises(StopRequested):
        sweep(file, GRID, overrides=(*FAST, *NO_BASELINES), out=file.parent, listener=stop)
    stopped = SweepResult.model_validate_json((file.parent / "tiny-sweep" / "sweep.json").read_bytes())
    assert stopped.status is Status.STOPPED
    assert {run.state for run in stopped.runs} == {RunState.PENDING}
    folder, result = sweep(file, GRID, overrides=(*FAST, *NO_BASELINES), out=file.parent)
    assert result.status is Status.COMPLETED
    for run in result.runs:
        path = Path(run.folder) / "model.safetensors"
        assert (folder / path).read_bytes() == (done[0] / path).read_bytes()


OTHER = {
    "name": "other",
    "training.trainer": {"name": "tests.simulations.faulty:Faulty", "sites": ()},
    "federation.strategy": {"name": "fedavg", "weighting": "uniform"},
    "federation.sites_per_round": 2,
    "federation.quorum": 0.25,
    "federation.deadline_seconds": 9.0,
    "federation.join_seconds": 9.0,
    "record.rounds": (1,),
    "engine.workers": 2,
    "engine.window_mb": 7,
    "engine.spool": True,
}


def test_keys_without_effect_change_no_bit_of_a_baseline(tiny: Callable[..., Any]) -> None:
    """Law: the pooled and a local model of two scenarios that differ in all those keys are bit-equal."""
    fast = {"training.rounds": 1, "training.local_steps": 2}
    other = {key: value for key, value in OTHER.items() if key in WITHOUT_EFFECT}
    assert set(WITHOUT_EFFECT) - set(other) <= {"federation.aggregator", "federation.compression"}
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


def test_seeds_count_up_from_the_scenarios_and_data_make_groups(file: Path) -> None:
    plan = make_plan(file, ("partition.alpha=0.3,1.0", "strategy.weighting=examples,uniform"), 2, ("seed=5",))
    assert plan.seeds == (5, 6)
    assert [sorted(point.scenarios) for point in plan.points] == [[5, 6]] * 4
    assert plan.points[0].scenarios[6].name == "alpha-0.3_weighting-examples-seed6"
    assert plan.points[0].scenarios[5].federation.sites == ("site-01", "site-02", "site-03")


def test_the_command(file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(file.parent)
    monkeypatch.setenv("COLUMNS", "80")
    sets = [word for change in (*FAST, *NO_BASELINES) for word in ("--set", change)]
    command = ["sweep", "tiny.toml", "--grid", "strategy.weighting=examples,uniform", *sets]
    assert cli.run(command, cli.COMMANDS) == 0
    shown = capfd.readouterr()
    assert (shown.err, shown.out.splitlines()[-1]) == ("", "COMPLETED  page: runs/tiny-sweep/report.html")
    assert "run 2/2: weighting-uniform-seed1" in shown.out
    assert "round   1/1" in shown.out
    assert cli.run([*command, "--seeds", "2"], cli.COMMANDS) == 2
    assert "seeds was [1], is now [1, 2]" in capfd.readouterr().err
    assert cli.run(["sweep", "tiny.toml", "--seeds", "0"], cli.COMMANDS) == 2
    failing = "--grid=training.trainer={name='tests.simulations.faulty:Faulty', sites=['site-01']}"
    assert cli.run(["sweep", "tiny.toml", failing, *sets, "--quiet", "--out", "other"], cli.COMMANDS) == 3
    assert "DEGRADED" in capfd.readouterr().out
