"""The scenarios on real multi-site data beside the repository, cut down to seconds.

Oracles: the counts of images in the manifests, and laws of the metrics (bounds, mean over classes, IoU <= Dice).
"""

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from medfed import load_scenario
from medfed.results import RunResult, Status
from simulations.run import simulate

SCENARIOS = Path(__file__).parents[2] / "simulations" / "scenarios"
SMALL = ("training.local_steps=3", "training.batch_size=8", "evaluation.resamples=100", "engine.workers=1")


def run(name: str, out: Path, *overrides: str) -> RunResult:
    return simulate(load_scenario(SCENARIOS / f"{name}.toml", (*SMALL, *overrides)), out=out)


def check_counts(done: RunResult, manifest: Path) -> None:
    """Natural sites keep every image in the split that the manifest names."""
    with manifest.open(newline="") as file:
        expected = Counter((row["site"], row["split"]) for row in csv.DictReader(file))
    assert done.status is Status.COMPLETED
    found = {
        (name, split): getattr(site, f"num_{split}")
        for name, site in done.summary.sites.items()
        for split in ("train", "val", "test")
    }
    assert found == dict(expected)


def test_skin(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    manifest = shared_data("skin_ham10000") / "labels.csv"
    done = run("skin-cnn", tmp_path, "training.rounds=1", "data.image_size=16", "model.width=4")
    check_counts(done, manifest)
    summary = done.summary
    assert summary.headline_metric == "balanced_accuracy"
    assert any("patient at two sites" in line for line in summary.warnings)  # the data set's README says so
    for site in summary.sites.values():
        assert site.federated is not None and site.local is not None and site.pooled is not None  # noqa: PT018
        assert sum(site.class_counts.values()) == site.num_train
        found = [figures["recall"].value for figures in site.per_class.values()]
        recalls = [value for value in found if value is not None]  # undefined where a site has no such lesion
        assert site.federated["balanced_accuracy"].value == pytest.approx(sum(recalls) / len(recalls))
    assert {p.name for p in (done.folder / "recorded").iterdir()} == {"1"}  # 1 and -1


def test_white_blood_cells(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    manifest = shared_data("wbc_two_labs") / "labels.csv"
    done = run("wbc-unet", tmp_path, "training.rounds=1", "data.image_size=32", "model.width=2", "model.depth=2")
    check_counts(done, manifest)
    for site in done.summary.sites.values():
        assert site.federated is not None
        iou, dice = site.federated["iou"].value, site.federated["dice"].value
        assert iou is not None and dice is not None and 0.0 <= iou <= dice <= 1.0  # noqa: PT018
        assert site.federated["dice"].n == site.num_test
        assert set(site.per_class) == {"cytoplasm", "nucleus"}  # the background is no finding
        per_class = [figures["dice"].value for figures in site.per_class.values()]
        assert all(value is not None and 0.0 <= value <= 1.0 for value in per_class)
