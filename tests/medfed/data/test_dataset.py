"""Oracles: the manifest that the test wrote, and the readers called one by one."""

import numpy as np
import pytest
from PIL import Image

from medfed.data.convert import DecodeSettings, prepare_image, prepare_mask
from medfed.data.dataset import open_dataset, pool
from medfed.data.readers import decode_image, decode_mask
from medfed.errors import DataError
from medfed.sections import DataConfig
from medfed.types import SPLITS, Task

CLASSIFY = Task("classification", ("a", "b"), "softmax", 1, 8)
SEGMENT = Task("segmentation", ("background", "cell"), "sigmoid", 1, 8)
IID = {"name": "iid", "num_sites": 2}


def _open(path, task=CLASSIFY, seed=1, **data):
    return open_dataset(path, DataConfig(image_size=8, **data), task, seed)


def _copy(folder, source, target):
    (folder / f"{target}.png").write_bytes((folder / f"{source}.png").read_bytes())


def test_a_site_holds_its_own_rows(build, tmp_path):
    dataset = _open(build())
    assert dataset.sites == ("one", "two")
    few = "sites with fewer than 10 test patients, whose intervals mean little: one (8), two (8)"
    assert dataset.warnings == (few,)  # and nothing else
    site = dataset.site("two")
    for split in SPLITS:
        part = site.split(split)
        assert part.names == tuple(f"two-{split}-{i}.png" for i in range(8))
        assert part.patients == tuple(f"p-two-{split}-{i}" for i in range(8))
        assert part.subgroups == {"sex": ("f", "m") * 4}
    images, targets = site.val.batch(np.array([3, 0]))
    settings = DecodeSettings(8, 1, "bit_depth", "binary", None)
    expected = prepare_image(decode_image((tmp_path / "two-val-3.png").read_bytes()), settings)
    np.testing.assert_allclose(images[0].numpy(), expected / 255, rtol=1e-6)
    assert targets.tolist() == [1, 0]


def test_segmentation_targets(build, tmp_path):
    dataset = _open(build(), SEGMENT)
    _, targets = dataset.site("one").test.batch(np.array([2]))
    settings = DecodeSettings(8, 1, "bit_depth", "binary", 2)
    expected = prepare_mask(decode_mask((tmp_path / "one-test-2-mask.png").read_bytes()), settings)
    assert dataset.targets.dtype == np.uint8
    np.testing.assert_array_equal(targets[0].numpy(), expected)


def test_masks_as_classes_must_be_classes(build, tmp_path):
    path = build()
    assert _open(path, SEGMENT, masks="classes").sites == ("one", "two")
    Image.new("L", (10, 12), 2).save(tmp_path / "one-val-0-mask.png")
    with pytest.raises(DataError, match=r"one-val-0\.png.*values 2 to 2, expected class indices 0 to 1"):
        _open(path, SEGMENT, masks="classes")
    assert _open(path, SEGMENT).sites == ("one", "two")


def test_labels_by_index(build):
    def change(rows):
        return [{**row, "label": "01"["ab".index(row["label"])]} for row in rows]

    np.testing.assert_array_equal(_open(build(change=change)).targets, _open(build()).targets)


def test_chosen_sites(build):
    assert _open(build(), sites=("two",)).sites == ("two",)
    with pytest.raises(DataError, match='names "three"; there are: one, two'):
        _open(build(), sites=("one", "three"))


def test_an_unknown_site_names_those_there_are(build):
    with pytest.raises(DataError, match='no site "x"; there are: one, two'):
        _open(build()).site("x")


def test_a_partitioner_leaves_the_test_split_whole(build):
    dataset = _open(build(), partition=IID, min_images_per_site=16)
    assert dataset.sites == ("site-01", "site-02")
    sites = [dataset.site(name) for name in dataset.sites]
    for split, whole in (("train", 16), ("val", 16)):
        assert sum(len(site.split(split)) for site in sites) == whole
        assert not set(sites[0].split(split).names) & set(sites[1].split(split).names)
    tests = {site.test.names for site in sites}
    assert tests == {tuple(f"{name}-test-{i}.png" for name in ("one", "two") for i in range(8))}


def test_min_images_counts_test_images_only_at_natural_sites(build):
    assert _open(build(), min_images_per_site=24).sites == ("one", "two")
    with pytest.raises(DataError, match=r"fewer than data.min_images_per_site = 25 images: one \(24\), two \(24\)"):
        _open(build(), min_images_per_site=25)
    with pytest.raises(DataError, match="32 training and validation images"):
        _open(build(), partition=IID, min_images_per_site=17)


def test_same_seed_same_sites_other_seed_others(build, tmp_path, monkeypatch):
    path = build()
    names = [
        _open(path, partition=IID, min_images_per_site=1, seed=seed).site("site-01").train.names for seed in (1, 2)
    ]
    monkeypatch.chdir(tmp_path)
    again = _open(path, partition=IID, min_images_per_site=1, seed=1).site("site-01").train.names
    assert again == names[0]
    assert names[0] != names[1]


def test_a_missing_split_column_is_filled_with_a_warning(build):
    def change(rows):
        return [{key: value for key, value in row.items() if key != "split"} for row in rows]

    dataset = _open(build(change=change))
    assert "made one of 70 %" in dataset.warnings[0]
    assert dataset.split_here
    assert dataset.site("one").split_here
    assert not _open(build()).site("one").split_here
    assert [len(dataset.site("one").split(split)) for split in SPLITS] == [16, 3, 5]


def test_copies_across_splits_are_refused_or_dropped(build, tmp_path):
    path = build()
    _copy(tmp_path, "one-test-0", "one-train-0")
    _copy(tmp_path, "one-test-1", "one-val-1")
    _copy(tmp_path, "two-val-0", "two-train-0")
    with pytest.raises(DataError, match=r"same image in two splits .*: 3, for example .*data.duplicates"):
        _open(path)
    dataset = _open(path, duplicates="drop")
    one, two = dataset.site("one"), dataset.site("two")
    assert "one-train-0.png" not in one.train.names
    assert "one-val-1.png" not in one.val.names
    assert "two-train-0.png" not in two.train.names
    assert [len(one.test), len(two.val), len(two.test)] == [8, 8, 8]
    assert "dropped 3 copies" in dataset.warnings[0]


def test_copies_inside_a_split_are_a_warning(build, tmp_path):
    path = build()
    _copy(tmp_path, "one-train-0", "one-train-2")
    warning, _few = _open(path).warnings
    assert "same image twice in a split" in warning
    for name in (str(tmp_path), path.name, ".png"):  # where a site's data lies must not reach a report, nor file names
        assert name not in warning


def _replace(key, value, every=1):
    def change(rows):
        return [{**row, key: value} if i % every == 0 else row for i, row in enumerate(rows)]

    return change


@pytest.mark.parametrize(
    ("change", "task", "said"),
    [
        (_replace("patient", "p"), CLASSIFY, "patient in two splits"),
        (_replace("label", "", 7), CLASSIFY, r"label missing .*: 7, for example row 2"),
        (_replace("label", "z", 7), CLASSIFY, r"label unknown: z .*: 7, .*expected one of: a, b"),
        (_replace("mask", "", 7), SEGMENT, r"mask missing .*: 7"),
        (_replace("split", "train"), CLASSIFY, r"one \(no val or test\), two \(no val or test\)"),
        (lambda rows: [{k: v for k, v in row.items() if k != "label"} for row in rows], CLASSIFY, 'no column "label"'),
        (lambda rows: [{k: v for k, v in row.items() if k != "mask"} for row in rows], SEGMENT, 'no column "mask"'),
        (_replace("image", "gone.png", 48), CLASSIFY, r"row 2 \(gone\.png\): missing file"),
    ],
)
def test_data_that_cannot_be_used(build, change, task, said):
    with pytest.raises(DataError, match=said):
        _open(build(change=change), task)


def test_partitioned_sites_need_training_and_validation_images(build):
    def change(rows):
        return [{**row, "split": "train" if row["split"] == "val" else row["split"]} for row in rows]

    with pytest.raises(DataError, match=r"site-01 \(no val\)"):
        _open(build(change=change), partition=IID, min_images_per_site=1)


def test_partition_by_label_of_a_segmentation_needs_the_label_column(build):
    skew = {"name": "dirichlet", "num_sites": 2, "alpha": 100.0}
    assert _open(build(), SEGMENT, partition=skew, min_images_per_site=1).sites == ("site-01", "site-02")

    def change(rows):
        return [{key: value for key, value in row.items() if key != "label"} for row in rows]

    with pytest.raises(DataError, match="needs a label"):
        _open(build(change=change), SEGMENT, partition=skew)


def test_single_class_sites_are_a_warning(build):
    warning = _open(build(), partition={"name": "one_class", "num_sites": 2}, min_images_per_site=1).warnings[0]
    assert "one class only: site-01, site-02" in warning


def test_pool_joins_rows_and_counts_shared_ones_once(build):
    natural = _open(build())
    pooled = pool([natural.site(name) for name in natural.sites])
    assert pooled.site == "pooled"
    assert pooled.train.names == natural.site("one").train.names + natural.site("two").train.names
    assert pooled.train.subgroups["sex"] == ("f", "m") * 8
    divided = _open(build(), partition=IID, min_images_per_site=1)
    shared = pool([divided.site(name) for name in divided.sites], "all")
    assert len(shared.train) == 16
    assert shared.test.names == divided.site("site-01").test.names
    assert len(shared.test.patients) == len(shared.test.rows) == 16


def test_pool_refuses_what_does_not_belong_together(build):
    with pytest.raises(ValueError, match="at least one"):
        pool([])
    with pytest.raises(ValueError, match="one data set"):
        pool([_open(build()).site("one"), _open(build()).site("two")])
