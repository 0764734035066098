"""Oracle: a planted fault is found, and nothing is found in a clean set."""

import dataclasses

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medfed.data.check import check_duplicates, check_labels, check_patients, check_sites, run_checks
from medfed.data.manifest import read_manifest
from medfed.data.scan import scan
from medfed.data.table import Record
from medfed.sections import Columns

CLASSES = ("a", "b")


def _run(path, classes=CLASSES, min_images=20):
    table = read_manifest(path, Columns())
    return run_checks(table.records, *scan(table), classes, min_images)


def test_a_clean_manifest_has_no_findings(build):
    assert _run(build()) == ()


def _nan(folder, row):
    tifffile.imwrite(folder / "nan.tif", np.full((12, 10), np.nan, np.float32))
    return {**row, "image": "nan.tif"}


def _wide(folder, row):
    Image.new("L", (12, 10)).save(folder / row["mask"])
    return row


def _gone(folder, row):
    (folder / row["image"]).unlink()
    return row


def _broken(folder, row):
    (folder / row["image"]).write_bytes(b"\x89PNG\r\n\x1a\n")
    return row


def _mask_gone(folder, row):
    (folder / row["mask"]).unlink()
    return row


PLANTED = {
    "missing file": _gone,
    "unreadable file": _broken,
    "NaN or infinite values": _nan,
    "mask of another size": _wide,
    "label missing": lambda folder, row: {**row, "label": ""},
    "label unknown: c": lambda folder, row: {**row, "label": "c"},
    "mask missing": lambda folder, row: {**row, "mask": ""},
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_fault_is_found(build, tmp_path, what):
    def change(rows):
        rows[5] = PLANTED[what](tmp_path, rows[5])
        return rows

    (finding,) = _run(build(change=change))
    assert (finding.level, finding.what, finding.count, finding.where) == ("error", what, 1, "one")
    assert "row 7" in finding.example
    assert finding.remedy


def test_a_missing_mask_file_is_found(build, tmp_path):
    path = build()
    _mask_gone(tmp_path, {"mask": "one-val-1-mask.png"})
    (finding,) = _run(path)
    assert finding.what == "missing file"
    assert "one-val-1-mask.png" in finding.example


@pytest.mark.parametrize(
    ("source", "copy", "level", "what"),
    [
        ("one-train-0", "one-test-0", "error", "same image in two splits"),
        ("one-train-0", "one-val-0", "error", "same image in two splits"),
        ("one-train-0", "two-train-0", "warning", "same image at two sites"),
        ("one-train-0", "one-train-2", "warning", "same image twice in a split"),
    ],
)
def test_copies_are_found_however_they_are_compressed(build, tmp_path, source, copy, level, what):
    path = build()
    Image.open(tmp_path / f"{source}.png").save(tmp_path / f"{copy}.png", compress_level=0)
    assert (tmp_path / f"{source}.png").read_bytes() != (tmp_path / f"{copy}.png").read_bytes()
    (finding,) = _run(path)
    assert (finding.level, finding.what, finding.count) == (level, what, 1)
    assert f"{source}.png" in finding.example
    assert f"{copy}.png" in finding.example


def test_a_copy_in_another_split_of_another_site_is_both(build, tmp_path):
    path = build()
    (tmp_path / "two-test-0.png").write_bytes((tmp_path / "one-train-0.png").read_bytes())
    assert [finding.what for finding in _run(path)] == ["same image in two splits", "same image at two sites"]


def _record(index, **changes):
    fields = {"label": "a", "site": "s", "split": "train", "patient": None}
    return Record(image=f"{index}.png", mask=None, row=index, **{**fields, **changes})


SPLITS = st.sampled_from(["train", "val", "test"])
SITES = st.sampled_from(["x", "y"])


@given(st.lists(st.tuples(st.sampled_from("pqrs"), SPLITS, SITES)))
def test_patients_in_two_splits_or_sites_are_counted(rows):
    records = [_record(i, patient=p, split=split, site=site) for i, (p, split, site) in enumerate(rows)]
    expected = {}
    for what, column in (("patient in two splits", 1), ("patient at two sites", 2)):
        count = sum(len({row[column] for row in rows if row[0] == patient}) > 1 for patient in "pqrs")
        expected |= {what: count} if count else {}
    assert {finding.what: finding.count for finding in check_patients(records)} == expected


def test_numbers_that_two_hospitals_give_out_alike_have_a_remedy_of_their_own():
    alike = [_record(1, patient="1", site="x", split="train"), _record(2, patient="1", site="y", split="test")]
    assert [finding.level for finding in check_patients(alike)] == ["error", "warning"]
    assert all("make ids unique per site" in finding.remedy for finding in check_patients(alike))
    (one_site,) = check_patients([dataclasses.replace(record, site="x") for record in alike])
    assert "unique per site" not in one_site.remedy


def test_what_is_kept_names_rows_and_neither_patients_nor_files():
    records = [_record(2, patient="SMITH-JOHN", site="x"), _record(30, patient="SMITH-JOHN", site="y")]
    records = [dataclasses.replace(record, image=f"SMITH/{record.row}.png") for record in records]
    findings = [*check_patients(records), *check_duplicates(records, [b"1", b"1"])]
    assert [finding.what for finding in findings] == ["patient at two sites", "same image at two sites"]
    assert all("SMITH" in str(finding) for finding in findings)
    for finding in findings:
        assert finding.without_names().startswith(f"{finding.what} (")
        assert "1, for example rows 2 and 30; " in finding.without_names()
        assert "SMITH" not in finding.without_names()


@given(st.lists(st.tuples(st.sampled_from([b"1", b"2", b"3", None]), SPLITS, SITES)))
def test_copies_are_counted_by_content(rows):
    records = [_record(i, split=split, site=site) for i, (_, split, site) in enumerate(rows)]
    found = {finding.what: finding.count for finding in check_duplicates(records, [row[0] for row in rows])}
    contents = [{(i, *row[1:]) for i, row in enumerate(rows) if row[0] == digest} for digest in (b"1", b"2", b"3")]
    groups = [group for group in contents if len(group) > 1]
    across = sum(len({row[1] for row in group}) > 1 for group in groups)
    sites = sum(len({row[2] for row in group}) > 1 for group in groups)
    within = sum(len({row[1:] for row in group}) == 1 for group in groups)
    names = ("same image in two splits", "same image at two sites", "same image twice in a split")
    assert found == {name: count for name, count in zip(names, (across, sites, within), strict=True) if count}


@given(st.lists(st.sampled_from(["a", "b", "0", "1", "2", "z", None]), min_size=1))
def test_labels_are_names_or_indices_throughout(labels):
    findings = check_labels([_record(i, label=label) for i, label in enumerate(labels)], CLASSES, required=True)
    named = {label for label in labels if label is not None}
    good = named <= {"a", "b"} or named <= {"0", "1"}
    assert any(finding.what == "label missing" for finding in findings) == (None in labels)
    assert any(finding.what.startswith("label unknown") for finding in findings) == (not good)


def test_labels_that_nobody_has_are_no_fault_unless_they_are_needed():
    records = [_record(i, label=None) for i in range(3)]
    assert check_labels(records, None, required=False) == []
    assert check_labels([*records, _record(4)], None, required=False)[0].count == 3
    assert check_labels(records, CLASSES, required=True)[0].count == 3


def test_sites_empty_small_or_of_one_class():
    splits = ["train", "val", "test"]
    full = [_record(i, split=splits[i % 3], label="ab"[i // 3 % 2]) for i in range(30)]
    assert check_sites(full, 20) == []
    assert [f.what for f in check_sites(full, 31)] == ["small site"]
    single = [dataclasses.replace(record, label="a") for record in full]
    assert [(f.level, f.what) for f in check_sites(single, 20)] == [("warning", "single-class site")]
    no_test = [record for record in full if record.split != "test"]
    assert [(f.level, f.what) for f in check_sites(no_test, 20)] == [("error", "no test images")]
    unsplit = [dataclasses.replace(record, split=None) for record in full]
    assert check_sites(unsplit, 20) == []
