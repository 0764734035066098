"""Oracle: the arrays that the test wrote."""

import numpy as np
import pytest

from medfed.data.medmnist import read_medmnist
from medfed.errors import DataError
from medfed.sections import Columns


def _arrays(shape=(5, 5), **changes):
    arrays = {}
    for number, split in enumerate(("train", "val", "test"), start=2):
        values = np.arange(number * int(np.prod(shape)), dtype=np.uint8)
        arrays[f"{split}_images"] = values.reshape(number, *shape)
        arrays[f"{split}_labels"] = np.arange(number, dtype=np.uint8)[:, None]
    return {**arrays, **changes}


def _write(tmp_path, arrays):
    np.savez(tmp_path / "set.npz", **arrays)
    return tmp_path / "set.npz"


@pytest.mark.parametrize("shape", [(5, 5), (5, 5, 3)])
def test_records_and_pixels(tmp_path, shape):
    arrays = _arrays(shape)
    table = read_medmnist(_write(tmp_path, arrays), Columns())
    assert [record.split for record in table.records] == ["train"] * 2 + ["val"] * 3 + ["test"] * 4
    assert table.records[3].image == "val_images[1]"
    assert table.records[3].label == "1"
    assert {record.site for record in table.records} == {"site"}
    expected = arrays["val_images"][1]
    expected = expected[None] if len(shape) == 2 else expected.transpose(2, 0, 1)
    np.testing.assert_array_equal(table.store.image("val_images[1]"), expected)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"val_labels": None}, 'no array "val_labels"; found'),
        ({"train_images": np.zeros((2, 5, 5), np.float32)}, "train_images is float32"),
        ({"train_images": np.zeros((2, 5), np.uint8)}, "of shape"),
        ({"test_labels": np.zeros((3, 1), np.uint8)}, "one integer per image"),
        ({"test_labels": np.zeros((4, 14), np.uint8)}, "one integer per image"),
        ({"test_labels": np.zeros((4, 1))}, "one integer per image"),
    ],
)
def test_a_fault_is_named(tmp_path, changes, said):
    arrays = {key: value for key, value in _arrays(**changes).items() if value is not None}
    with pytest.raises(DataError, match=said):
        read_medmnist(_write(tmp_path, arrays), Columns())


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut short"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as an \.npz file"):
        read_medmnist(tmp_path / "set.npz", Columns())


def test_a_pickle_is_never_loaded(tmp_path):
    with pytest.raises(DataError):
        read_medmnist(_write(tmp_path, _arrays(val_labels=np.array([{}, {}, {}], dtype=object))), Columns())
