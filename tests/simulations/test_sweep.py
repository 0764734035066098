"""Whole sweeps on bundled images. Oracles: single runs with baselines of their own, equal bytes, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from medfed import cli, events
from medfed.config import load_scenario
from medfed.errors import RunFolderError, StopRequested
from medfed.report.sweep_results import RunState, SweepResult
from medfed.results import RunResult, Status
from medfed.run_folder import STOP_FILE
from simulations.run import simulate
from simulations.sweeps.run import sweep
from tests.simulations.conftest import FEW

GRID = ("strategy.weighting=examples,uniform",)
FAST = ("training.rounds=1", "training.local_steps=2", "model.width=2")
NO_BASELINES = ("baselines.local=false", "baselines.pooled=false")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SweepResult]:
    """Two strategies by two seeds, with baselines."""
    place = tmp_path_factory.mktemp("sweep")
    (place / "tiny.toml").write_text(FEW)
    return sweep(place / "tiny.toml", GRID, seeds=2, overrides=FAST, out=place)


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
    defined = [value for value in last if value is not None]  # one site has validation images of one class only
    assert (len(last), len(defined)) == (3, 2)
    assert run.validation == pytest.approx(sum(defined) / 2)
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


def test_a_folder_that_is_no_sweep_is_refused(tiny_file: Path) -> None:
    (tiny_file.parent / "tiny-sweep").mkdir()
    (tiny_file.parent / "tiny-sweep" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match="not the folder of a sweep"):
        sweep(tiny_file, GRID, overrides=FAST, out=tiny_file.parent)
    (tiny_file.parent / "tiny-sweep" / "sweep.toml").write_text("[[")
    with pytest.raises(RunFolderError, match="is damaged"):
        sweep(tiny_file, GRID, overrides=FAST, out=tiny_file.parent)
    assert (tiny_file.parent / "tiny-sweep" / "thesis.tex").exists()


def test_a_run_that_fails_is_a_row_that_says_so_and_the_others_go_on(tiny_file: Path) -> None:
    trainers = "standard,{name='tests.simulations.faulty:Faulty', sites=['site-01', 'site-02', 'site-03']}"
    folder, result = sweep(
        tiny_file, (f"training.trainer={trainers}",), overrides=(*FAST, *NO_BASELINES), out=tiny_file.parent
    )
    good, bad = (row.runs[0] for row in result.rows)
    assert (good.state, bad.state, result.status) == (RunState.COMPLETED, RunState.FAILED, Status.DEGRADED)
    assert bad.cause.startswith("QuorumError: round 1: only 0 of 3 sites delivered")
    assert "Traceback" in (folder / bad.folder / "error.txt").read_text()
    assert (result.rows[1].test.value, result.rows[0].gap_closed.value) == (None, None)
    assert "1 of 2 runs failed" in (folder / "report.html").read_text()


def test_a_stopped_sweep_goes_on_to_the_same_bytes(done: tuple[Path, SweepResult], tiny_file: Path) -> None:
    def stop(event: events.Event) -> None:
        if isinstance(event, events.RoundDone):
            raise StopRequested("stopped by the user")

    with pytest.raises(StopRequested):
        sweep(tiny_file, GRID, overrides=(*FAST, *NO_BASELINES), out=tiny_file.parent, listener=stop)
    stopped = SweepResult.model_validate_json((tiny_file.parent / "tiny-sweep" / "sweep.json").read_bytes())
    assert stopped.status is Status.STOPPED
    assert {run.state for run in stopped.runs} == {RunState.PENDING}
    folder, result = sweep(tiny_file, GRID, overrides=(*FAST, *NO_BASELINES), out=tiny_file.parent)
    assert result.status is Status.COMPLETED
    for run in result.runs:
        path = Path(run.folder) / "model.safetensors"
        assert (folder / path).read_bytes() == (done[0] / path).read_bytes()


def test_two_sweeps_in_one_folder_at_once_are_refused(tiny_file: Path) -> None:
    """The second begins while the first is in its first round; the first is not disturbed."""
    told: list[str] = []

    def second(event: events.Event) -> None:
        if isinstance(event, events.RoundStarted) and not told:
            with pytest.raises(RunFolderError, match="tiny-sweep: another process is running it") as refused:
                sweep(tiny_file, GRID, overrides=(*FAST, *NO_BASELINES), out=tiny_file.parent)
            told.append(str(refused.value))

    _, result = sweep(tiny_file, GRID, overrides=(*FAST, *NO_BASELINES), out=tiny_file.parent, listener=second)
    assert len(told) == 1
    assert result.status is Status.COMPLETED


def test_the_stop_file_of_a_sweep_ends_it_and_the_same_call_goes_on(tiny_file: Path) -> None:
    """It is what the refusal of a second sweep tells the user to make."""
    stop = tiny_file.parent / "tiny-sweep" / STOP_FILE

    def call(listener: events.Listener | None) -> SweepResult:
        overrides = (*FAST, *NO_BASELINES)
        return sweep(tiny_file, GRID, overrides=overrides, out=tiny_file.parent, listener=listener)[1]

    with pytest.raises(StopRequested, match="asks for the end") as stopped:
        call(lambda event: stop.touch())
    assert stopped.value.exit_code == 4
    assert call(None).status is Status.COMPLETED
    assert not stop.exists()


def test_the_command(tiny_file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tiny_file.parent)
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
