"""Data that change between a run's beginning and its end. Oracles: planted changes, one at a time, named by hand."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medfed import events
from medfed.config import Scenario, parse_scenario
from medfed.errors import RunFolderError
from medfed.results import RunResult, Status
from simulations.fingerprints import FILE, fingerprints, require_same, write
from simulations.inputs import check_inputs
from simulations.run import resume, simulate
from simulations.sweeps.run import sweep

Row = dict[str, str]
Change = Callable[[list[Row]], object]

FAST = {"training.rounds": 2, "training.local_steps": 1, "baselines.local": False, "baselines.pooled": False}
SPLITS = ("train",) * 20 + ("val",) * 4 + ("test",) * 4


class Cut(BaseException):
    """What a power cut is to a program."""


def cut(event: events.Event) -> None:
    if isinstance(event, events.RoundDone):
        raise Cut


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A manifest of two sites, ``north`` and ``south``, with 28 images each."""
    draws = np.random.default_rng(0)
    rows: list[Row] = []
    for site in ("north", "south"):
        for number, split in enumerate(SPLITS):
            name = f"{site}-{number}.png"
            Image.fromarray(draws.integers(0, 256, (28, 28), dtype=np.uint8)).save(tmp_path / name)
            label = ("normal", "pneumonia")[number % 2]
            rows.append({"image": name, "label": label, "site": site, "split": split, "patient": name})
    save(tmp_path / "labels.csv", rows)
    return tmp_path / "labels.csv"


def save(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def change(path: Path, how: Change) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    how(rows)
    save(path, rows)


def scenario(path: Path, **changes: Any) -> Scenario:
    from tests.simulations.conftest import FEW

    values = {"data.path": str(path), "data.partition": "natural", "training.transforms": ()}
    return parse_scenario(FEW).replace(**values, **FAST, **changes)


def found(path: Path) -> dict[str, dict[str, str]]:
    complete, dataset = check_inputs(scenario(path))
    return fingerprints(dataset, complete.federation.sites)


def paint(path: Path) -> None:
    """Other pixels under the same name, in a file of the same format."""
    Image.fromarray(np.full((28, 28), 7, dtype=np.uint8)).save(path)


def is_of(row: Row, site: str, split: str) -> bool:
    return (row["site"], row["split"]) == (site, split)


def swap_labels(rows: list[Row]) -> None:
    first, second, *_ = [row for row in rows if row["site"] == "south"]
    first["label"], second["label"] = second["label"], first["label"]


def swap_splits(rows: list[Row]) -> None:
    of_train = next(row for row in rows if is_of(row, "south", "train"))
    of_test = next(row for row in rows if is_of(row, "south", "test"))
    of_train["split"], of_test["split"] = "test", "train"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (swap_labels, "south: labels;"),
        (swap_splits, "south: splits;"),
        (lambda rows: rows[30].update(patient=rows[31]["patient"]), "south: patients;"),
        (lambda rows: rows.insert(0, rows.pop()), "south: the order of the rows;"),
        (lambda rows: rows.pop(), "south: 27 images, were 28;"),
        (lambda rows: rows[0].update(site="south"), r"north: 27 images, were 28 \(and at 1 more\);"),
        (lambda rows: [row.update(site="south") for row in rows], r"north: is gone \(and at 1 more\);"),
    ],
)
def test_what_changed_is_named_in_one_line(data: Path, tmp_path: Path, how: Change, said: str) -> None:
    write(tmp_path, found(data))
    require_same(tmp_path, found(data), "start anew")
    change(data, how)
    with pytest.raises(RunFolderError, match=f"changed since it began: {said} put them back .*, or start anew") as told:
        require_same(tmp_path, found(data), "start anew")
    assert "\n" not in str(told.value)


def test_files_may_move_and_change_their_format_but_not_their_pixels(data: Path, tmp_path: Path) -> None:
    write(tmp_path, found(data))
    other = tmp_path / "moved"
    other.mkdir()
    for path in (data, *tmp_path.glob("*.png")):
        path.rename(other / path.name)
    Image.open(other / "south-3.png").save(other / "south-3.tiff")
    change(other / data.name, lambda rows: next(row for row in rows if row["image"] == "south-3.png").update(
        image="south-3.tiff"
    ))  # fmt: skip
    require_same(tmp_path, found(other / data.name), "")
    paint(other / "south-3.tiff")
    with pytest.raises(RunFolderError, match="south: images;"):
        require_same(tmp_path, found(other / data.name), "")


def test_another_run_in_the_same_process_sees_what_changed(data: Path, tmp_path: Path) -> None:
    """Naive: of an equal scenario the sites still hold the data that they read before."""

    def counts() -> dict[str, int]:
        return simulate(scenario(data), out=tmp_path / "runs", overwrite=True).summary.sites["north"].class_counts

    before = counts()
    change(data, lambda rows: next(row for row in rows if is_of(row, "north", "train")).update(label="pneumonia"))
    assert counts() == {"normal": before["normal"] - 1, "pneumonia": before["pneumonia"] + 1}


def test_a_run_is_not_resumed_with_other_data_and_is_with_the_old_ones(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    with pytest.raises(Cut):
        simulate(scenario(data), out=out, listener=cut)
    before = (tmp_path / "north-2.png").read_bytes()
    paint(tmp_path / "north-2.png")
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(RunFolderError, match=r"runs/tiny: .*: north: images; .* anew with --overwrite"):
        resume(out / "tiny")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == kept
    (tmp_path / "north-2.png").write_bytes(before)
    assert resume(out / "tiny").status is Status.COMPLETED


def test_a_run_killed_before_it_kept_what_its_data_are_goes_on(data: Path, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        simulate(scenario(data), out=tmp_path / "runs", listener=cut)
    (tmp_path / "runs/tiny" / FILE).unlink()
    shutil.rmtree(tmp_path / "runs/tiny/checkpoints")
    assert resume(tmp_path / "runs/tiny").status is Status.COMPLETED
    assert (tmp_path / "runs/tiny" / FILE).exists()


def test_a_damaged_record_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(RunFolderError, match=r"data\.json: is damaged"):
        require_same(tmp_path, found(data), "")


def test_a_sweep_mixes_no_data_in_its_runs_or_its_baselines(data: Path, tmp_path: Path) -> None:
    """The runs are complete; their baselines would be used for others."""
    file = tmp_path / "tiny.toml"
    file.write_text(scenario(data).replace(**{"training.rounds": 1, "baselines.pooled": True}).to_toml())

    def call() -> tuple[Path, Any]:
        return sweep(file, ("strategy.weighting=examples,uniform",), out=tmp_path)

    folder, result = call()
    assert result.status is Status.COMPLETED
    assert RunResult.load(folder / "weighting-uniform-seed1").summary.mean.pooled is not None
    paint(tmp_path / "north-2.png")
    with pytest.raises(RunFolderError, match=r"weighting-examples-seed1: .*: north: images; .* choose another --out"):
        call()
    for path in folder.glob("weighting-*"):  # as if none of the runs had begun
        shutil.rmtree(path)
    with pytest.raises(RunFolderError, match=r"baselines/\w+: .*: north: images;"):
        call()


def test_a_run_that_lost_its_digests_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        simulate(scenario(data), out=tmp_path, listener=cut)
    folder = next(path.parent for path in tmp_path.glob("*/rounds.jsonl"))
    (folder / FILE).unlink()
    with pytest.raises(RunFolderError, match=r"data\.json.*missing, though rounds were completed"):
        resume(folder)
