"""Whole runs on bundled images. Oracles: equal bytes of repeated runs, closed-form bookkeeping, recomputed updates."""

import json
import math
from pathlib import Path

import jsonschema
import pytest
import torch

from medfed import events, params, payload
from medfed.config import load_scenario
from medfed.errors import QuorumError, RunFolderError, ScenarioError, StopRequested
from medfed.models.initial import initial_weights
from medfed.results import RunResult, Status
from medfed.run_folder import check_free, make_folder
from simulations.benchmarks.bundled import finished
from simulations.run import simulate

FAULTY = "tests.simulations.faulty:Faulty"
FILES = {"scenario.toml", "environment.json", "rounds.jsonl", "summary.json", "model.safetensors", "report.html"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """One tiny run with everything switched on."""
    from medfed.config import parse_scenario
    from tests.simulations.conftest import FEW

    scenario = parse_scenario(FEW).replace(**{"record.rounds": (1, -1)})
    return simulate(scenario, out=tmp_path_factory.mktemp("runs"))


def test_the_folder_holds_what_the_design_lists(run: RunResult) -> None:
    assert run.status is Status.COMPLETED
    assert {path.name for path in run.folder.iterdir()} >= FILES
    assert [path.name for path in (run.folder / "checkpoints").iterdir()] == ["2"]
    assert {p.name for p in (run.folder / "recorded" / "1").iterdir()} == {
        "global.weights.safetensors", "site-01.safetensors", "site-02.safetensors", "site-03.safetensors",
    }  # fmt: skip


def test_the_summary_validates_against_its_published_schema(run: RunResult) -> None:
    schema = Path(__file__).parents[2] / "medfed/report/schema/summary.schema.json"
    jsonschema.validate(json.loads((run.folder / "summary.json").read_text()), json.loads(schema.read_text()))


def test_every_headline_has_three_models_intervals_and_n(run: RunResult) -> None:
    for site in run.summary.sites.values():
        for metrics in (site.federated, site.local, site.pooled):
            assert metrics is not None
            estimate = metrics["auroc"]
            assert estimate.low <= estimate.value <= estimate.high
            assert estimate.n == site.num_test == 78  # the test split of the file stays whole
    assert set(run.summary.cross_site) == set(run.summary.sites)
    assert run.summary.cross_site["site-01"]["site-01"] == run.summary.sites["site-01"].local
    assert 0.0 <= run.summary.mean.federated["auroc"].value <= 1.0


def test_steps_and_bytes_are_those_of_the_scenario(run: RunResult) -> None:
    size = len(payload.pack(initial_weights(load_scenario(run.folder / "scenario.toml"))))
    for number, result in enumerate(run.rounds(), start=1):
        assert result.round == number
        assert {site.num_steps for site in result.sites.values()} == {3}
        assert (result.bytes_up, result.bytes_down) == (3 * size, 6 * size)  # to train, and to validate
    assert run.summary.bytes_up == 2 * 3 * size
    assert run.summary.bytes_down == 2 * 6 * size + 3 * size  # and the final test


def test_recorded_updates_explain_the_next_global_model(run: RunResult) -> None:
    """w2 = w1 + sum n_k u_k / sum n, from the files alone; in the last round that is the final model."""
    folder = run.folder / "recorded" / "2"
    before = params.load_weights(folder / "global.weights.safetensors")
    updates = [path for path in sorted(folder.iterdir()) if path.name.startswith("site")]
    counts = [params.load_metadata(path)["num_examples"] for path in updates]
    for name, value in params.load_weights(run.folder / "model.safetensors").items():
        mean = sum(n * params.load_weights(p)[name] for n, p in zip(counts, updates, strict=True)) / sum(counts)
        torch.testing.assert_close(before[name] + mean, value)


def test_the_written_scenario_is_complete_and_gives_the_same_bits(run: RunResult, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # another working directory must not matter
    again = simulate(load_scenario(run.folder / "scenario.toml"), out=tmp_path)
    for name in ("model.safetensors", "baselines/pooled.safetensors", "baselines/local-site-02.safetensors"):
        assert (again.folder / name).read_bytes() == (run.folder / name).read_bytes()


def test_helper_processes_change_no_number(run: RunResult, tiny, tmp_path: Path) -> None:
    again = simulate(tiny(**{"engine.workers": 2}), out=tmp_path)
    assert again.summary.cross_site == run.summary.cross_site
    assert again.summary.gap_closed == run.summary.gap_closed


def test_another_seed_gives_another_model(run: RunResult, tiny, tmp_path: Path) -> None:
    again = simulate(tiny(seed=2, **{"baselines.local": False, "baselines.pooled": False}), out=tmp_path)
    assert (again.folder / "model.safetensors").read_bytes() != (run.folder / "model.safetensors").read_bytes()


def test_an_existing_folder_is_refused_and_kept(run: RunResult, tiny) -> None:
    before = (run.folder / "summary.json").read_bytes()
    with pytest.raises(RunFolderError, match="--overwrite"):
        simulate(tiny(), out=run.folder.parent)
    assert (run.folder / "summary.json").read_bytes() == before


def test_a_folder_that_is_no_run_is_never_overwritten(tiny, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match="not the folder of a run"):
        simulate(tiny(), out=tmp_path, overwrite=True)
    assert (tmp_path / "tiny" / "thesis.tex").exists()


def test_a_run_killed_while_its_folder_is_made_can_be_overwritten(tiny, tmp_path: Path, monkeypatch) -> None:
    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "tiny"
    make_folder(folder, tiny())  # killed before the rounds
    check_free(folder, overwrite=True)
    (folder / "baselines").mkdir()
    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        make_folder(folder, tiny(seed=2))  # killed while the old run is removed
    monkeypatch.undo()
    check_free(folder, overwrite=True)
    make_folder(folder, tiny(seed=2))
    assert [path.name for path in folder.iterdir()] == ["scenario.toml"]
    assert (folder / "scenario.toml").read_text() == tiny(seed=2).to_toml()


def test_an_empty_folder_is_free(tmp_path: Path) -> None:
    check_free(tmp_path, overwrite=False)


def test_the_benchmark_uses_only_a_complete_run_of_the_same_scenario_again(run: RunResult, tiny, tmp_path) -> None:
    scenario = tiny(**{"record.rounds": (1, -1)})
    assert finished(scenario, run.folder) == run
    assert finished(scenario.replace(seed=2), run.folder) is None
    assert finished(scenario, tmp_path / "none") is None


def test_a_stopped_run_is_not_used_again(tiny, tmp_path: Path) -> None:
    trainer = {"name": FAULTY, "sites": ("site-01", "site-02")}
    scenario = tiny(**NO_BASELINES, **{"training.trainer": trainer})
    with pytest.raises(QuorumError):
        simulate(scenario, out=tmp_path)
    assert (tmp_path / "tiny" / "report.html").exists()
    assert finished(scenario, tmp_path / "tiny") is None


@pytest.mark.parametrize("leave_out", [(), ("site-01",)])
def test_more_sites_per_round_than_sites_are_refused(tiny, tmp_path: Path, leave_out: tuple[str, ...]) -> None:
    most = 3 - len(leave_out)
    scenario = tiny(**{"federation.sites_per_round": most + 1, "federation.leave_out": leave_out})
    with pytest.raises(ScenarioError, match=f"expected 1 to {most}, or 0 for all; got {most + 1}"):
        simulate(scenario, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


NO_BASELINES = {"baselines.local": False, "baselines.pooled": False}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("exception", "exception error (RuntimeError)"),
        ("memory", "lower training.batch_size"),
        ("data", "medfed data check"),
        ("nan", "NaN or Inf"),
    ],
)
def test_a_failing_site_is_named_and_the_run_says_degraded(tiny, tmp_path: Path, fault: str, said: str) -> None:
    heard: list[events.Event] = []
    trainer = {"name": FAULTY, "sites": ("site-02",), "fault": fault, "since": 2}
    done = simulate(tiny(**NO_BASELINES, **{"training.trainer": trainer}), out=tmp_path, listener=heard.append)
    assert done.status is Status.DEGRADED
    (warning,) = [line for line in done.summary.warnings if "site-02" in line]
    assert "round 2" in warning
    assert said in warning
    assert [failure.site for failure in done.rounds()[1].failed] == ["site-02"]
    assert "DEGRADED" in (done.folder / "report.html").read_text()
    (failed,) = [event for event in heard if isinstance(event, events.SiteFailed)]
    if fault == "exception":
        assert "RuntimeError: boom in the trainer" in failed.detail  # the whole traceback, to the user


def test_below_the_quorum_the_run_stops_and_keeps_what_is_done(tiny, tmp_path: Path) -> None:
    trainer = {"name": FAULTY, "sites": ("site-01", "site-02"), "since": 2}
    with pytest.raises(QuorumError, match=r"round 2: only 1 of 3 sites delivered"):
        simulate(tiny(**NO_BASELINES, **{"training.trainer": trainer}), out=tmp_path)
    stopped = RunResult.load(tmp_path / "tiny")
    assert stopped.status is Status.STOPPED
    assert stopped.summary.rounds == len(stopped.rounds()) == 1
    assert (stopped.folder / "model.safetensors").exists()
    assert "STOPPED" in (stopped.folder / "report.html").read_text()


def test_no_valid_reply_at_all_stops_the_run(tiny, tmp_path: Path) -> None:
    trainer = {"name": FAULTY, "sites": ("site-01", "site-02", "site-03"), "fault": "nan"}
    with pytest.raises(QuorumError, match="only 0 of 3"):
        simulate(tiny(**NO_BASELINES, **{"training.trainer": trainer, "federation.quorum": 0.01}), out=tmp_path)


def test_a_listener_can_stop_the_run_between_two_sites(tiny, tmp_path: Path) -> None:
    def stop_in_round_2(event: events.Event) -> None:
        if isinstance(event, events.SiteDone) and event.round == 2:
            raise StopRequested("enough")

    with pytest.raises(StopRequested):
        simulate(tiny(), out=tmp_path, listener=stop_in_round_2)
    stopped = RunResult.load(tmp_path / "tiny")
    assert (stopped.status, stopped.summary.rounds) == (Status.STOPPED, 1)
    assert params.load_metadata(stopped.folder / "checkpoints/1/model.safetensors")["round"] == 1


def test_a_left_out_site_is_tested_but_not_trained(tiny, tmp_path: Path) -> None:
    done = simulate(tiny(**{"federation.leave_out": ("site-03",)}), out=tmp_path)
    assert all(set(result.sites) == {"site-01", "site-02"} for result in done.rounds())
    assert done.summary.left_out == ["site-03"]
    assert done.summary.sites["site-03"].federated is not None
    assert done.summary.sites["site-03"].local is None
    assert set(done.summary.cross_site) == {"site-01", "site-02"}


def test_sampled_sites_depend_on_seed_and_round_alone(tiny, tmp_path: Path) -> None:
    scenario = tiny(**NO_BASELINES, **{"federation.sites_per_round": 2, "training.rounds": 4})
    done = simulate(scenario, out=tmp_path)
    chosen = [[name for name, site in r.sites.items() if site.num_steps] for r in done.rounds()]
    assert all(len(names) == 2 for names in chosen)
    assert len({tuple(names) for names in chosen}) > 1


def test_natural_sites_and_masks(tiny, tmp_path: Path) -> None:
    """Segmentation: Dice and IoU obey IoU <= Dice <= 1, per site, with n = its own test images."""
    path = Path(__file__).parents[2] / "simulations/scenarios/nuclei-unet.toml"
    small = {"training.rounds": 1, "training.local_epochs": 1, "model.width": 4, "data.image_size": 32}
    done = simulate(load_scenario(path).replace(**small, **NO_BASELINES, name="tiny-nuclei"), out=tmp_path)
    assert len(done.summary.sites) >= 4
    for site in done.summary.sites.values():
        assert site.federated["dice"].n == site.num_test >= 10
        assert site.federated["iou"].value <= site.federated["dice"].value <= 1.0
        assert not math.isnan(site.federated["ece"].value)
