"""Runs that are cut and go on. Oracle: the bytes of the same run without a cut; planted damage is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from medfed import events
from medfed.errors import RunFolderError, StopRequested
from medfed.results import RunResult, Status
from medfed.run_folder import STOP_FILE, RunFolder
from simulations.run import resume, simulate

ROUNDS = {"training.rounds": 3, "baselines.pooled": False, "engine.spool": True}


class Cut(BaseException):
    """What a power cut is to a program."""


def cut_at(number: int, site: str | None = None):
    """A listener that cuts the run when round ``number`` is done, or once ``site`` has delivered in it."""

    def listen(event: events.Event) -> None:
        match event:
            case events.RoundDone(round=done) if site is None and done == number:
                raise Cut
            case events.SiteDone(round=done, site=name) if name == site and done == number:
                raise Cut

    return listen


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The run without a cut."""
    from medfed.config import parse_scenario
    from tests.simulations.conftest import FEW

    return simulate(parse_scenario(FEW).replace(**ROUNDS), out=tmp_path_factory.mktemp("runs"))


def same_bits(one: RunResult, other: RunResult) -> bool:
    names = "model.safetensors", "baselines/local-site-01.safetensors"
    return all((one.folder / name).read_bytes() == (other.folder / name).read_bytes() for name in names)


@pytest.mark.parametrize("cut", [(1, None), (2, "site-02"), (3, None)])
def test_a_cut_run_goes_on_to_the_same_bits(cut, whole: RunResult, tiny, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        simulate(tiny(**ROUNDS), out=tmp_path, listener=cut_at(*cut))
    done = resume(tmp_path / "tiny")
    assert done.status is Status.COMPLETED
    assert same_bits(done, whole)
    assert [result.round for result in done.rounds()] == [1, 2, 3]
    assert done.summary.cross_site == whole.summary.cross_site
    assert not (done.folder / "spool").exists()


def test_sites_that_had_delivered_are_not_asked_again(tiny, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        simulate(tiny(**ROUNDS), out=tmp_path, listener=cut_at(2, "site-02"))
    trained: list[tuple[str, str]] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.SiteStarted):
            trained.append((event.purpose, event.site))

    resume(tmp_path / "tiny", listener=listen)
    # round 2 was cut when site-02 had delivered: only site-03 is left; round 3 is whole
    assert [site for purpose, site in trained if purpose == "train"] == ["site-03", "site-01", "site-02", "site-03"]


def test_a_run_cut_before_its_first_checkpoint_goes_on(whole: RunResult, tiny, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        simulate(tiny(**ROUNDS), out=tmp_path, listener=cut_at(1, "site-01"))
    assert same_bits(resume(tmp_path / "tiny"), whole)


def test_a_run_cut_among_its_baselines_keeps_those_that_are_done(whole: RunResult, tiny, tmp_path: Path) -> None:
    def listen(event: events.Event) -> None:
        if isinstance(event, events.StageDone) and event.done >= 4:  # of 3 sites x 3 rounds
            raise Cut

    with pytest.raises(Cut):
        simulate(tiny(**ROUNDS), out=tmp_path, listener=listen)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "tiny" / "baselines").glob("*.json")}
    assert len(kept) == 1
    assert same_bits(resume(tmp_path / "tiny"), whole)
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())


def test_a_complete_run_stays_as_it_is(whole: RunResult) -> None:
    before = (whole.folder / "summary.json").stat().st_mtime_ns
    assert resume(whole.folder).summary == whole.summary
    assert (whole.folder / "summary.json").stat().st_mtime_ns == before


def test_the_stop_file_ends_a_run_which_can_go_on(whole: RunResult, tiny, tmp_path: Path) -> None:
    def listen(event: events.Event) -> None:
        if isinstance(event, events.RoundDone) and event.round == 1:
            (tmp_path / "tiny" / STOP_FILE).touch()

    with pytest.raises(StopRequested, match="asks for the end") as stop:
        simulate(tiny(**ROUNDS), out=tmp_path, listener=listen)
    assert stop.value.exit_code == 4
    stopped = RunResult.load(tmp_path / "tiny")
    assert (stopped.status, stopped.summary.rounds) == (Status.STOPPED, 1)
    assert same_bits(resume(tmp_path / "tiny"), whole)


def test_the_stop_file_ends_a_run_among_its_baselines(whole: RunResult, tiny, tmp_path: Path) -> None:
    def listen(event: events.Event) -> None:
        if isinstance(event, events.StageDone) and event.name == "baselines":
            (tmp_path / "tiny" / STOP_FILE).touch()

    with pytest.raises(StopRequested, match="asks for the end"):
        simulate(tiny(**ROUNDS), out=tmp_path, listener=listen)
    assert same_bits(resume(tmp_path / "tiny"), whole)


@pytest.mark.parametrize("aggregator", ["centred_clipping", "geometric_median"])
def test_rules_that_see_one_vector_see_it_in_the_same_order_after_a_cut(aggregator: str, tiny, tmp_path: Path) -> None:
    """They sum over all coordinates in their order, and centred clipping remembers such a vector."""
    rule = {"name": aggregator} | ({"radius": 0.01} if aggregator == "centred_clipping" else {})
    changes = ROUNDS | {"baselines.local": False, "federation.aggregator": rule}
    straight = simulate(tiny(**changes), out=tmp_path / "whole")
    with pytest.raises(Cut):
        simulate(tiny(**changes), out=tmp_path / "cut", listener=cut_at(2))
    done = resume(tmp_path / "cut" / "tiny")
    model = "model.safetensors"
    assert (done.folder / model).read_bytes() == (straight.folder / model).read_bytes()
    sizes = [[(r.bytes_up, r.bytes_down) for r in run.rounds()] for run in (done, straight)]
    assert sizes[0] == sizes[1]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _edit(old: str, new: str) -> Callable[[Path], object]:
    """Change ``scenario.toml``."""

    def damage(folder: Path) -> None:
        path = folder / "scenario.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return damage


def _without_a_round(folder: Path) -> None:
    path = folder / "rounds.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: _truncate(folder / "checkpoints/2/model.safetensors"), "model.safetensors: is damaged"),
        (lambda folder: (folder / "checkpoints/2/state.safetensors").unlink(), "state.safetensors: is damaged"),
        (_edit("local_steps = 3", "local_steps = 4"), "is of another scenario"),
        (_edit("seed = 1", "seed = 2"), "how scenario.toml divides them, changed since it began: site-01: "),
        (_without_a_round, "rounds.jsonl: is damaged: expected rounds 1 to 2"),
        (lambda folder: (folder / "rounds.jsonl").unlink(), "rounds.jsonl: is damaged"),
        (lambda folder: (folder / "scenario.toml").write_text("name = "), "scenario.toml: is damaged"),
        (lambda folder: (folder / "scenario.toml").unlink(), "is not the folder of a run"),
        (lambda folder: folder.rename(folder.with_name("other")), "is not the folder of a run"),
    ],
)
def test_a_damaged_folder_is_refused_and_kept(damage, said: str, tiny, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        simulate(tiny(**ROUNDS, **{"baselines.local": False}), out=tmp_path, listener=cut_at(2))
    damage(tmp_path / "tiny")
    with pytest.raises(RunFolderError, match=said):
        resume(tmp_path / "tiny")


def test_a_renamed_folder_is_refused(whole: RunResult, tmp_path: Path) -> None:
    shutil.copytree(whole.folder, tmp_path / "other")
    with pytest.raises(RunFolderError, match='holds a run named "tiny"; give the folder its name back'):
        resume(tmp_path / "other")


def test_a_recorded_update_of_a_round_that_was_undone_is_gone(tiny, tmp_path: Path) -> None:
    """Round 2 is undone when two sites had delivered; a site that fails in its second attempt would leave the first."""
    changes = ROUNDS | {"baselines.local": False, "engine.spool": False, "record.rounds": (1, 2)}
    with pytest.raises(Cut):
        simulate(tiny(**changes), out=tmp_path, listener=cut_at(2, "site-02"))
    folder = tmp_path / "tiny"
    assert (folder / "recorded/2/site-02.safetensors").exists()
    first = (folder / "recorded/1/site-02.safetensors").read_bytes()
    RunFolder(folder).truncate(1)
    assert sorted(path.name for path in (folder / "recorded").iterdir()) == ["1"]
    assert (folder / "recorded/1/site-02.safetensors").read_bytes() == first
    assert resume(folder).status is Status.COMPLETED
    assert len(list((folder / "recorded/2").iterdir())) == 4


def test_a_last_line_that_was_cut_is_written_anew(whole: RunResult, tiny, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        simulate(tiny(**ROUNDS), out=tmp_path, listener=cut_at(2))
    with (tmp_path / "tiny" / "rounds.jsonl").open("a") as file:
        file.write('{"round": 3, "sec')
    assert same_bits(resume(tmp_path / "tiny"), whole)


def test_early_stopping_keeps_the_best_round_over_a_cut(tiny, tmp_path: Path) -> None:
    """With patience 1 the run ends at the first evaluation that is no better; its model is that of the round before."""
    changes = {
        "training.rounds": 12,
        "evaluation.patience": 1,
        "evaluation.keep": "best",
        "baselines.local": False,
        "baselines.pooled": False,
        "training.optimizer": {"name": "sgd", "lr": 1e-9},  # nothing is learnt: round 2 is no better than round 1
    }
    run = simulate(tiny(**changes), out=tmp_path)
    assert run.summary.rounds == 2
    assert any("no better validation" in warning for warning in run.summary.warnings)
    best = RunFolder(run.folder).path / "checkpoints" / "2" / "best.safetensors"
    assert json.loads((run.folder / "rounds.jsonl").read_text().splitlines()[0])["round"] == 1
    from medfed.params import load_weights

    kept, final = load_weights(best), load_weights(run.folder / "model.safetensors")
    assert all((kept[name] == value).all() for name, value in final.items())
