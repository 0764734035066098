"""Oracle: the rows written by the test itself; for faults, the words a user must see."""

import pytest

from medfed.data.manifest import read_manifest
from medfed.data.sources import read_table
from medfed.errors import DataError
from medfed.sections import Columns


def _read(tmp_path, text, encoding="utf-8", **columns):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return read_manifest(path, Columns(**columns))


def test_every_column_finds_its_place(tmp_path):
    text = "image,mask,label,site,split,patient,sex,age\nx/a.png,m.png,cat,one,val,p1,f,30\n"
    (record,) = _read(tmp_path, text).records
    assert (record.image, record.mask, record.label, record.site) == ("x/a.png", "m.png", "cat", "one")
    assert (record.split, record.patient, record.unit, record.row) == ("val", "p1", "p1", 2)
    assert record.subgroups == {"sex": "f", "age": "30"}


def test_columns_can_be_renamed_and_group_stands_in_for_patient(tmp_path):
    text = "file,image,where,group\na.png,x,one,g1\n"
    table = _read(tmp_path, text, image="file", site="where")
    assert (table.records[0].image, table.records[0].site, table.records[0].patient) == ("a.png", "one", "g1")
    assert table.records[0].subgroups == {"image": "x"}


def test_group_is_a_subgroup_where_a_patient_column_exists(tmp_path):
    (record,) = _read(tmp_path, "image,patient,group\na.png,p,g\n").records
    assert (record.patient, dict(record.subgroups)) == ("p", {"group": "g"})


def test_an_empty_patient_is_unknown(tmp_path):
    (record,) = _read(tmp_path, "image,patient\na.png,\n").records
    assert record.patient is None
    assert record.unit == "a.png"


def test_without_a_site_column_there_is_one_site_and_a_warning(tmp_path):
    table = _read(tmp_path, "image\na.png\nb.png\n")
    assert {record.site for record in table.records} == {"site"}
    assert 'no column "site"' in table.warnings[0]


@pytest.mark.parametrize(
    "text", ["﻿image,site\r\na.png,one\r\n", "image,site\n\na.png,one\n\n", ' image , site\n"a.png",one']
)
def test_byte_order_mark_line_ends_blank_lines_and_blanks_are_no_fault(tmp_path, text):
    (record,) = _read(tmp_path, text).records
    assert (record.image, record.site) == ("a.png", "one")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "manifest is empty"),
        ("image,site\n", "no rows"),
        ("file,site\na,b\n", r'no column "image"; the file has: file, site; .*\[data.columns\]'),
        ("image;site\na;b\n", "separator a comma"),
        ("image,image\na,b\n", 'column "image" stands twice'),
        ("image,site\na.png\n", "row 2: 1 cells, the header has 2"),
        ("image,site\na.png,one,two\n", "row 2: 3 cells"),
        ("image,site\n,one\n", "row 2: the image cell is empty"),
        ("image,site\na.png,\n", 'site "" is not a name'),
        ("image,site\na.png,x/y\n", "no slash"),
        ("image,site\na.png,..\n", "dot"),
        ("image,split\na.png,training\n", 'split "training"; expected one of: train, val, test'),
        ("image,split\na.png,\n", 'split ""; expected one of'),
        ('image,site\n"a.png,one\n', "not a valid CSV"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path, text, said):
    with pytest.raises(DataError, match=said) as caught:
        _read(tmp_path, text)
    assert "labels.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_encoding_is_named(tmp_path):
    with pytest.raises(DataError, match="not UTF-8"):
        _read(tmp_path, "image,site\na.png,Zürich\n", encoding="latin-1")
    with pytest.raises(DataError, match="not UTF-8"):
        _read(tmp_path, "image,site\na.png,one\n", encoding="utf-16")


def test_a_renamed_column_must_exist(tmp_path):
    with pytest.raises(DataError, match=r'no column "lesion"; the file has: image, site'):
        _read(tmp_path, "image,site\na.png,one\n", patient="lesion")


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(DataError, match=r'unknown kind of data file "\.xlsx"; expected one of: \.csv, \.npz'):
        read_table(tmp_path / "a.xlsx", Columns())
