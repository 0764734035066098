"""Baselines in several processes. Oracles: the files they leave, exit codes of processes, events counted by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medfed import events
from medfed.errors import SiteError, StopRequested
from medfed.results import Status
from simulations.baselines import crew
from simulations.baselines.tasks import Task, baseline_tasks
from simulations.engine import processes
from simulations.inputs import check_inputs
from simulations.run import simulate

SHORT = {"training.rounds": 1, "training.local_steps": 1}


@pytest.fixture
def inputs(tiny: Callable[..., Any]) -> tuple[Any, Any]:
    """A tiny scenario of one step, and its data."""
    return check_inputs(tiny(**SHORT))


@pytest.mark.parametrize("fault", [SiteError("the training loss is nan"), RuntimeError("boom\nand more")])
def test_a_failed_baseline_costs_that_baseline_only(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def train(scenario: Any, dataset: Any, task: Task, on_round: Any) -> Any:
        if task == Task("local", "site-02"):
            raise fault
        return real(scenario, dataset, task, on_round)

    real = crew.train_baseline
    monkeypatch.setattr(crew, "train_baseline", train)
    done = simulate(tiny(**SHORT), out=tmp_path)
    assert done.status is Status.DEGRADED
    (warning,) = [line for line in done.summary.warnings if "baseline" in line]
    cause = f"{type(fault).__name__}: {fault}".splitlines()[0]
    assert warning.startswith(f"baseline local site-02 is missing from the comparison: {cause} (traceback: ")
    assert {name for name, site in done.summary.sites.items() if site.local is None} == {"site-02"}
    assert all(site.pooled is not None for site in done.summary.sites.values())
    assert "Traceback" in (done.folder / "baselines" / "local-site-02.error.txt").read_text()
    assert "DEGRADED" in (done.folder / "report.html").read_text()


def test_when_every_baseline_fails_the_federated_figures_remain(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*arguments: Any) -> Any:
        raise SiteError("nan")

    monkeypatch.setattr(crew, "train_baseline", train)
    done = simulate(tiny(**SHORT), out=tmp_path)
    assert done.status is Status.DEGRADED
    assert done.summary.mean.federated is not None
    assert (done.summary.mean.local, done.summary.mean.pooled) == (None, None)
    assert (done.folder / "report.html").exists()


def test_a_helper_sees_no_package_of_the_working_directory(
    inputs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "__init__.py").write_text("raise RuntimeError('a package of the user')")
    monkeypatch.chdir(tmp_path)
    scenario, dataset = inputs
    with crew.hired(scenario, tmp_path / "baselines", 1) as hired:
        assert [helper.wait() for helper in hired.helpers] == [0]
        outcome = crew.finish(scenario, dataset, hired)
    assert (outcome.failures, outcome.warnings) == ([], [])
    assert list(outcome.tests) == baseline_tasks(scenario, dataset)
    names = ["local-site-01", "local-site-02", "local-site-03", "pooled"]
    stored = sorted(path.name for path in (tmp_path / "baselines").iterdir())
    assert stored == [f"{name}.{suffix}" for name in names for suffix in ("json", "safetensors")]


def test_a_helper_that_dies_early_is_told_and_its_log_kept(
    inputs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*arguments: Any, **options: Any) -> processes.Process:
        return real("tests.simulations.pool_app:leave", ["1"], **options)

    real = processes.start
    scenario, dataset = inputs
    monkeypatch.setattr(processes, "start", start)
    with crew.hired(scenario, tmp_path, 1) as hired:
        outcome = crew.finish(scenario, dataset, hired)
    (warning,) = outcome.warnings
    assert "helper process 0: exit code 1" in warning
    assert (tmp_path / "helper-0.log").exists()
    assert outcome.failures == []
    assert len(outcome.tests) == 4


def test_a_claim_whose_process_died_is_a_failed_baseline(inputs: Any, tmp_path: Path) -> None:
    scenario, dataset = inputs
    with crew.hired(scenario, tmp_path, 0) as hired:
        assert hired.files.claim(Task("pooled"))
        outcome = crew.finish(scenario, dataset, hired)
    assert outcome.failures == ["baseline pooled is missing from the comparison: its process died"]
    assert len(outcome.tests) == 3


def test_a_start_that_fails_ends_the_helpers_before_it(
    inputs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def start(scenario: Any, files: Any, number: int) -> processes.Process:
        if number == 1:
            raise OSError("no more processes")
        (files.path / "helper-0.log").touch()
        started.append(processes.start("signal:pause"))
        return started[0]

    monkeypatch.setattr(crew, "_start", start)
    with pytest.raises(OSError, match="no more"), crew.hired(inputs[0], tmp_path, 2):
        pass
    assert started[0].returncode == -9
    assert [path.name for path in tmp_path.iterdir()] == ["helper-0.log"]


def test_progress_is_told_after_every_round_and_may_stop_there(tiny: Any, tmp_path: Path) -> None:
    scenario, dataset = check_inputs(tiny(**{"training.rounds": 3, "training.local_steps": 1}))
    heard: list[tuple[int, int]] = []

    def listen(event: events.Event) -> None:
        assert isinstance(event, events.StageDone)
        heard.append((event.done, event.total))
        if event.done == 5:
            raise StopRequested("enough")

    with (
        pytest.raises(StopRequested),
        events.listening(listen),
        crew.hired(scenario, tmp_path, 0) as hired,
    ):
        crew.finish(scenario, dataset, hired)
    assert heard == [(done, 4 * 3) for done in (1, 2, 3, 4, 5)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pooled.json", "pooled.safetensors"]  # was finished


def test_what_a_helper_died_of_is_trained_once_more_by_another(inputs: Any, tmp_path: Path) -> None:
    scenario, dataset = inputs
    with crew.hired(scenario, tmp_path, 0) as hired:
        hired.helpers.append(processes.start("tests.simulations.pool_app:leave", ["1"]))
        assert hired.files.claim(Task("pooled"))
        outcome = crew.finish(scenario, dataset, hired)
        assert [helper.returncode for helper in hired.helpers] == [1, 0]
    assert outcome.failures == []
    assert Task("pooled") in outcome.tests
