"""Trackers in a run: every round once over a cut, no number changed, nothing sent to a site, a fault only a warning."""

import csv
from pathlib import Path

import pytest

from medfed import events
from medfed.errors import ScenarioError
from medfed.results import Status
from simulations.run import resume, simulate

TRACKED = {
    "training.rounds": 3,
    "baselines.local": False,
    "baselines.pooled": False,
    "tracking.trackers": ({"name": "csv"},),
}
BROKEN = {"name": "tests.medfed.tracking.broken:BrokenLater"}


class Cut(BaseException):
    """What a power cut is to a program."""


def cut_at_round_2(event: events.Event) -> None:
    if isinstance(event, events.SiteDone) and event.round == 2:
        raise Cut


def test_a_cut_run_is_tracked_as_one_without_a_cut_and_has_the_same_bits(tiny, tmp_path: Path) -> None:
    """Oracle: rounds.jsonl, and the model of the run without a tracker."""
    with pytest.raises(Cut):
        simulate(tiny(**TRACKED), out=tmp_path / "cut", listener=cut_at_round_2)
    run = resume(tmp_path / "cut" / "tiny")
    rows = list(csv.DictReader((run.folder / "metrics.csv").open(newline="")))
    said = [(int(row["round"]), row["site"], float(row["loss"])) for row in rows]
    assert said == [(r.round, name, site.loss) for r in run.rounds() for name, site in r.sites.items()]
    assert len(said) == 9
    plain = simulate(tiny(**TRACKED | {"tracking.trackers": ()}), out=tmp_path / "plain")
    assert not (plain.folder / "metrics.csv").exists()
    assert (run.folder / "model.safetensors").read_bytes() == (plain.folder / "model.safetensors").read_bytes()


def test_a_tracker_that_fails_is_one_warning(tiny, tmp_path: Path) -> None:
    run = simulate(tiny(**TRACKED | {"tracking.trackers": (BROKEN,)}), out=tmp_path)
    assert run.status is Status.COMPLETED
    (warning,) = [warning for warning in run.summary.warnings if "tracker" in warning]
    assert "tests.medfed.tracking.broken:BrokenLater failed and was ended" in warning
    assert run.summary.rounds == 3


def test_a_tracker_that_cannot_work_is_refused_before_anything_is_written(tiny, tmp_path: Path) -> None:
    scenario = tiny(**TRACKED | {"tracking.trackers": ({**BROKEN, "here": False},)})
    with pytest.raises(ScenarioError, match="cannot work here"):
        simulate(scenario, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_travels_to_a_site_does_not_say_where_the_server_reports_to(tiny) -> None:
    scenario = tiny(**{"tracking.trackers": ({"name": "mlflow", "tracking_uri": "http://inside.example"},)})
    assert "inside.example" in scenario.to_toml()
    assert "inside.example" not in scenario.travelling().to_toml()


def test_the_same_tracker_twice_is_refused(tiny) -> None:
    with pytest.raises(ScenarioError, match="must differ from each other"):
        tiny(**{"tracking.trackers": ({"name": "csv"}, {"name": "csv"})})
