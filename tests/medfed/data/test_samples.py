"""Oracle: what the issue and the licences ask of the bundled data; the raw sets where they lie beside the project."""

import csv
from collections import Counter

import numpy as np
import pytest

from medfed.data.check import run_checks
from medfed.data.dataset import open_dataset
from medfed.data.location import resolve_path
from medfed.data.manifest import read_manifest
from medfed.data.readers import decode_image
from medfed.data.samples.make_samples import COLUMNS, NUCLEI_GROUPS, choose_nuclei, make_pneumonia, write_pair
from medfed.data.scan import scan
from medfed.data.sources import read_table
from medfed.sections import Columns, DataConfig
from medfed.types import SPLITS, Task

NUCLEI = "package:medfed/data/samples/nuclei/labels.csv"
PNEUMONIA = "package:medfed/data/samples/pneumoniamnist/pneumoniamnist.npz"


@pytest.fixture
def samples(repository):
    return repository / "medfed" / "data" / "samples"


def test_together_at_most_15_megabytes(samples):
    files = [path for path in samples.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) <= 15_000_000


@pytest.mark.parametrize(("name", "licence"), [("nuclei", "CC0"), ("pneumoniamnist", "CC BY 4.0")])
def test_licence_and_attribution(samples, name, licence):
    assert licence in (samples / name / "LICENSE").read_text()
    readme = (samples / name / "README.md").read_text()
    assert licence in readme
    assert "Caicedo" in readme or "J. Yang" in readme


def test_nuclei_groups_and_splits(samples):
    records = read_manifest(resolve_path(NUCLEI), Columns()).records
    counts = Counter((record.site, record.split) for record in records)
    sites = sorted({record.site for record in records})
    assert sites == ["fluo_256", "fluo_360", "fluo_520x696", "histo_purple_bg", "histo_white_bg"]
    assert all(counts[site, "test"] >= 10 and counts[site, "val"] >= 4 for site in sites)
    assert max(int(record.subgroups[side]) for record in records for side in ("width", "height")) <= 400
    listed = {samples / "nuclei" / name for record in records for name in (record.image, record.mask) if name}
    assert listed == set((samples / "nuclei").rglob("*.png"))
    for site in sites:  # the table of the README
        row = " | ".join(str(counts[site, split]) for split in SPLITS)
        assert any(line.startswith(f"| {site} ") and row in line for line in _lines(samples / "nuclei"))


def _csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _lines(folder):
    return (folder / "README.md").read_text().splitlines()


@pytest.mark.parametrize("path", [NUCLEI, PNEUMONIA])
def test_no_errors_and_no_leak(path):
    table = read_table(resolve_path(path), Columns())
    findings = run_checks(table.records, *scan(table))
    assert [finding.what for finding in findings if finding.level == "error"] == []


def test_pneumonia_counts_are_those_of_its_readme(samples):
    with np.load(samples / "pneumoniamnist" / "pneumoniamnist.npz") as file:
        counts = {split: np.bincount(file[f"{split}_labels"].ravel()).tolist() for split in SPLITS}
    assert counts == {"train": [1213, 3469], "val": [135, 389], "test": [234, 390]}


def test_both_open_as_the_scenarios_do():
    task = Task("segmentation", ("background", "nucleus"), "sigmoid", 1, 96)
    assert len(open_dataset(resolve_path(NUCLEI), DataConfig(image_size=96), task, 1).sites) == 5
    task = Task("classification", ("normal", "pneumonia"), "softmax", 1, 28)
    skew = {"name": "dirichlet", "num_sites": 5, "alpha": 0.5}
    dataset = open_dataset(resolve_path(PNEUMONIA), DataConfig(image_size=28, partition=skew), task, 1)
    assert {len(dataset.site(name).test) for name in dataset.sites} == {624}


def test_the_script_makes_them_again(samples, shared_data, tmp_path):
    """Pixels, not bytes: another Pillow or zlib may compress otherwise. Of the nuclei, one pair of each group."""
    source = shared_data("nuclei_dsb2018")
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    chosen, listed = choose_nuclei(_csv(source / "labels.csv")), _csv(samples / "nuclei" / "labels.csv")
    assert [(row["image"], row["split"]) for row in chosen] == [(row["image"], row["split"]) for row in listed]
    for group in NUCLEI_GROUPS:
        position = next(i for i, row in enumerate(listed) if row["site"] == group)
        made = write_pair(chosen[position], source, tmp_path)
        assert {key: made[key] for key in COLUMNS} == listed[position]
        for name in (made["image"], made["mask"]):
            pixels = [decode_image((folder / name).read_bytes()) for folder in (tmp_path, samples / "nuclei")]
            np.testing.assert_array_equal(*pixels)
    make_pneumonia(shared_data("pneumoniamnist_28"), tmp_path / "pneumoniamnist")
    with (
        np.load(samples / "pneumoniamnist" / "pneumoniamnist.npz") as old,
        np.load(tmp_path / "pneumoniamnist" / "pneumoniamnist.npz") as new,
    ):
        assert sorted(old) == sorted(new)
        assert all(np.array_equal(old[key], new[key]) for key in old)


def test_the_choice_does_not_depend_on_the_order_of_rows():
    rows = [{"site": "fluo_360", "image": f"{i}.png", "kaggle_id": f"id{i}"} for i in range(60)]
    assert choose_nuclei(rows) == choose_nuclei(rows[::-1])
    assert Counter(row["split"] for row in choose_nuclei(rows)) == {"test": 10, "val": 5, "train": 23}
