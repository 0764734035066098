"""Oracle: what the READMEs of the real data sets say, and counts found by hand."""

import pytest

from medfed.data.check import run_checks
from medfed.data.dataset import open_dataset
from medfed.data.scan import scan
from medfed.data.sources import read_table
from medfed.errors import DataError
from medfed.sections import Columns, DataConfig
from medfed.types import Task

SKIN = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
PNEUMONIA = Task("classification", ("normal", "pneumonia"), "softmax", 1, 28)


def _findings(path, columns=None, classes=None):
    table = read_table(path, columns or Columns())
    return {(f.level, f.what): f.count for f in run_checks(table.records, *scan(table), classes)}


def test_raw_pneumoniamnist_has_8_validation_images_in_training(shared_data):
    found = _findings(shared_data("pneumoniamnist_28") / "pneumoniamnist.npz", classes=("normal", "pneumonia"))
    assert found[("error", "same image in two splits")] == 8
    assert found[("warning", "same image twice in a split")] == 16 + 3


def test_raw_pneumoniamnist_is_refused_or_cleaned(shared_data):
    path = shared_data("pneumoniamnist_28") / "pneumoniamnist.npz"
    with pytest.raises(DataError, match=r"same image in two splits .*: 8, "):
        open_dataset(path, DataConfig(image_size=28), PNEUMONIA, 1)
    site = open_dataset(path, DataConfig(image_size=28, duplicates="drop"), PNEUMONIA, 1).site("site")
    assert [len(site.train), len(site.val), len(site.test)] == [4698, 524, 624]


def test_skin_lesions_stay_in_one_split_but_two_are_at_two_sites(shared_data):
    path = shared_data("skin_ham10000") / "labels.csv"
    found = _findings(path, Columns(patient="lesion_id"), SKIN)
    assert found == {("warning", "patient at two sites"): 2}


def test_skin_opens_with_four_sites(shared_data):
    task = Task("classification", SKIN, "softmax", 3, 32)
    data = DataConfig(image_size=32, channels=3, columns=Columns(patient="lesion_id"))
    dataset = open_dataset(shared_data("skin_ham10000") / "labels.csv", data, task, 1)
    assert dataset.sites == ("rosendahl", "vidir_modern", "vidir_molemax", "vienna_dias")
    assert dataset.images.shape == (2801, 3, 32, 32)
    assert set(dataset.site("rosendahl").train.subgroups) >= {"age", "sex", "localization"}


def test_white_blood_cells_are_clean_and_open_for_both_tasks(shared_data):
    path = shared_data("wbc_two_labs") / "labels.csv"
    assert _findings(path) == {}
    task = Task("segmentation", ("background", "cytoplasm", "nucleus"), "softmax", 3, 32)
    dataset = open_dataset(path, DataConfig(image_size=32, channels=3, masks="classes"), task, 1)
    assert dataset.sites == ("cellavision", "jiangxi_tecom")
    assert set(dataset.targets.ravel().tolist()) == {0, 1, 2}


def test_a_site_without_validation_images_is_named(shared_data):
    path = shared_data("cxr_pneumonia_multisource") / "labels.csv"
    assert _findings(path) == {("error", "no val images"): 63}
    with pytest.raises(DataError, match=r"eurorad \(no val\)"):
        open_dataset(path, DataConfig(image_size=28), PNEUMONIA, 1)
