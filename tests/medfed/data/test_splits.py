"""Oracle: the laws of a split: patients whole, shares near 70/10/20, nothing but the seed and the names decides."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from medfed.data.manifest import read_manifest
from medfed.data.splits import fill_splits, hashed_splits
from medfed.data.table import Record
from medfed.sections import Columns


def _records(units):
    return [Record(f"{i}.png", None, None, site, None, patient, i) for i, (patient, site) in enumerate(units)]


def test_shares_per_site():
    split = hashed_splits(_records([(f"p{i}", f"s{i % 2}") for i in range(400)]), seed=1)
    for parity in (0, 1):
        counts = Counter(found for unit, found in split.items() if int(unit[1:]) % 2 == parity)
        assert counts == {"train": 140, "val": 20, "test": 40}


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), min_size=1), st.integers(0, 5))
def test_one_split_per_patient_whatever_the_order(units, seed):
    split = hashed_splits(_records(units), seed)
    assert set(split) == {patient for patient, _ in units}
    assert split == hashed_splits(_records(units[::-1]), seed)


@given(st.integers(3, 60), st.integers(0, 3))
def test_from_three_patients_on_no_split_is_empty(num, seed):
    split = hashed_splits(_records([(f"p{i}", "s") for i in range(num)]), seed)
    assert set(split.values()) == {"train", "val", "test"}


def test_a_table_without_splits_gets_them_with_a_warning(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,site\n" + "".join(f"{i}.png,one\n" for i in range(10)))
    table = fill_splits(read_manifest(path, Columns()), seed=3)
    assert Counter(record.split for record in table.records) == {"train": 7, "val": 1, "test": 2}
    assert "made one of 70 % train" in table.warnings[-1]
    assert fill_splits(table, seed=4) is table
