"""Trackers by themselves. Oracle: the rounds that they were given, read back by another library (csv, tensorboard's own
reader, MLflow's client); a cut in between leaves the same as no cut."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from medfed.errors import ScenarioError
from medfed.registry import plugin
from medfed.results import Failure, RoundResult, SiteRound
from medfed.tracking.contract import Sink, TrackedRun, Tracker
from medfed.tracking.csv_file import COLUMNS, Csv
from medfed.tracking.enforcer import Tracking, check_trackers
from medfed.tracking.mlflow_run import Mlflow, _key
from medfed.tracking.packages import require
from medfed.tracking.scalars import scalars
from medfed.tracking.tensorboard_events import TensorBoard

ODD = 'St. "Mary", ward 3'


def a_round(number: int) -> RoundResult:
    """Site a trained and was scored, the oddly named one failed."""
    a = SiteRound(num_examples=5, num_steps=2, loss=1.0 / number, seconds=0.5, val={"auroc": 0.75, "ece": None})
    b = SiteRound(num_examples=7, num_steps=2, loss=3.0 / number, seconds=1.5, val={"auroc": 0.25})
    failure = Failure(site=ODD, code="memory", cause='out, of "memory"', remedy="less")
    return RoundResult(
        round=number, seconds=2.0, bytes_up=100, bytes_down=200, sites={"a": a, "b": b}, failed=[failure]
    )


ROUNDS = [a_round(number) for number in (1, 2, 3)]


@pytest.fixture
def run(tmp_path: Path) -> TrackedRun:
    return TrackedRun("trial", tmp_path, "0123456789abcdef")


def write(tracker: Tracker, run: TrackedRun, cut_after: int | None = None) -> None:
    """All rounds, in one go or in two; the second finds a round that the first had not written any more."""
    if cut_after is None:
        sink = tracker(run, [])
        rest = ROUNDS
    else:
        sink = tracker(run, [])
        for result in ROUNDS[:cut_after]:
            sink.add(result)
        sink = tracker(run, ROUNDS[: cut_after + 1])  # never closed before: killed
        rest = ROUNDS[cut_after + 1 :]
    for result in rest:
        sink.add(result)
    sink.close()


cuts = pytest.mark.parametrize("cut_after", [None, 0, 1, 2])


@cuts
def test_csv_has_one_row_per_round_and_site(run: TrackedRun, cut_after: int | None) -> None:
    write(Csv(), run, cut_after)
    rows = list(csv.DictReader((run.folder / "metrics.csv").open(newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["round"], row["site"]) for row in rows] == [(str(n), s) for n in (1, 2, 3) for s in (ODD, "a", "b")]
    failed, trained = rows[3], rows[4]
    assert (failed["failed"], failed["loss"], failed["val_auroc"]) == ('out, of "memory"', "", "")
    assert (trained["failed"], float(trained["loss"]), trained["val_auroc"]) == ("", 0.5, "0.75")
    assert (trained["val_ece"], trained["val_dice"], trained["seconds"]) == ("", "", "0.5")
    assert (trained["round_seconds"], trained["round_bytes_up"], trained["round_bytes_down"]) == ("2.0", "100", "200")


def test_csv_drops_a_row_that_a_crash_left_half_written(run: TrackedRun) -> None:
    sink = Csv()(run, [])
    sink.add(ROUNDS[0])
    with (run.folder / "metrics.csv").open("a") as file:
        file.write("2,a,5")
    Csv()(run, ROUNDS[:1])
    whole = (run.folder / "metrics.csv").read_text()
    (run.folder / "metrics.csv").unlink()
    Csv()(run, ROUNDS[:1])
    assert (run.folder / "metrics.csv").read_text() == whole
    assert whole.endswith("\n")


def test_scalars_are_by_site_and_as_means_over_sites() -> None:
    assert scalars(ROUNDS[1]) == {  # by hand
        "seconds": 2.0,
        "bytes_up": 100.0,
        "bytes_down": 200.0,
        "num_failed": 1.0,
        "loss/a": 0.5,
        "loss/b": 1.5,
        "val_auroc/a": 0.75,
        "val_auroc/b": 0.25,
        "mean_loss": 1.0,
        "mean_val_auroc": 0.5,
    }


@cuts
def test_tensorboard_reads_every_round_once(run: TrackedRun, cut_after: int | None) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard")
    TensorBoard().check()
    write(TensorBoard(), run, cut_after)
    found = reader.EventAccumulator(str(run.folder / "tensorboard"))
    found.Reload()
    assert set(found.Tags()["scalars"]) == set(scalars(ROUNDS[0]))
    assert [(event.step, event.value) for event in found.Scalars("loss/b")] == [(1, 3.0), (2, 1.5), (3, 1.0)]


@cuts
def test_mlflow_has_every_round_once(run: TrackedRun, cut_after: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="no mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Mlflow().check()
    write(Mlflow(), run, cut_after)
    client = mlflow.MlflowClient(f"sqlite:///{run.folder / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("trial").experiment_id])
    assert (found.data.tags["medfed.run"], found.info.status) == (run.run_id, "FINISHED")
    history = sorted(client.get_metric_history(found.info.run_id, "loss/b"), key=lambda metric: metric.step)
    assert [(metric.step, metric.value) for metric in history] == [(1, 3.0), (2, 1.5), (3, 1.0)]


def test_mlflow_takes_every_name_of_a_site_and_keeps_them_apart() -> None:
    """Oracle: the characters that mlflow.utils.validation allows."""
    names = [ODD, "a:20b", "a b", "a%20b", "a/b", "a.b", "Kraków", ".."]
    keys = {_key(f"loss/{name}") for name in names}
    assert len(keys) == len(names)
    assert all(re.fullmatch(r"loss/[A-Za-z0-9_. :-]+", key) for key in keys)
    assert _key("mean_loss") == "mean_loss"


def test_a_missing_package_is_named_with_the_remedy() -> None:
    with pytest.raises(ScenarioError, match=r'"tracking.trackers": x needs a package .* pip install no-such-package'):
        require("x", "no_such_module", "no-such-package")


@plugin
class Broken:
    """Raises when it is opened, or in a round."""

    when: str

    def check(self) -> None:
        raise ScenarioError("cannot work here")

    def __call__(self, run: TrackedRun, past: Sequence[RoundResult]) -> Sink:
        if self.when == "open":
            raise OSError("no\nroom")
        return BrokenSink(self.when)


class BrokenSink:
    def __init__(self, when: str) -> None:
        self.when = when

    def add(self, result: RoundResult) -> None:
        if self.when == "add":
            raise OSError("no\nroom")

    def close(self) -> None:
        if self.when == "close":
            raise OSError("no\nroom")


@pytest.mark.parametrize("when", ["open", "add", "close"])
def test_a_fault_is_one_warning_and_the_others_go_on(when: str, run: TrackedRun) -> None:
    tracking = Tracking([Broken(when=when), Csv()], run, [])
    for result in ROUNDS:
        tracking.add(result)
    tracking.close()
    (warning,) = tracking.warnings
    assert warning.endswith("Broken failed and was ended, the run itself was not touched: OSError: no room")
    assert len((run.folder / "metrics.csv").read_text().splitlines()) == 1 + 9


def test_the_check_before_a_run_comes_out() -> None:
    with pytest.raises(ScenarioError, match="cannot work here"):
        check_trackers([Csv(), Broken(when="add")])
