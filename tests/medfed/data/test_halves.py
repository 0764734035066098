"""Random halves of a site's images. Oracles: laws, by hand."""

import numpy as np
import pytest

from medfed.data.halves import halved
from medfed.data.table import Record
from medfed.errors import DataError

NUM = 31


def _records() -> tuple[Record, ...]:
    """Two images of a patient, but for the last, of whom there is one."""
    return tuple(Record(f"{i}.png", None, None, "a", "train", f"p{i // 2}", i + 1) for i in range(NUM))


ROWS = {"a": {"train": np.arange(20), "val": np.arange(20, 27), "test": np.arange(27, NUM)}}


@pytest.mark.parametrize("first", [1, 3, 9])
def test_two_halves_of_a_draw_are_all_that_could_train_and_share_no_patient(first):
    found = [halved(ROWS, _records(), half, seed=5)["a"] for half in (first, first + 1)]
    assert np.array_equal(found[0]["train"], found[1]["val"])
    assert np.array_equal(found[0]["val"], found[1]["train"])
    assert sorted([*found[0]["train"], *found[0]["val"]]) == list(range(27))
    patients = [{row // 2 for row in each["train"]} for each in found]
    assert not patients[0] & patients[1]
    assert [len(each) for each in patients] == [7, 7]
    assert all(np.array_equal(each["test"], ROWS["a"]["test"]) for each in found)


def test_other_draws_and_other_seeds_divide_differently():
    found = [halved(ROWS, _records(), half, seed)["a"]["train"] for half, seed in ((1, 5), (3, 5), (1, 6), (1, 5))]
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert np.array_equal(found[0], found[3])


def test_a_site_with_one_patient_has_no_halves():
    rows = {"a": {"train": np.arange(1), "val": np.arange(1, 2), "test": np.arange(2, 4)}}
    with pytest.raises(DataError, match="site a"):
        halved(rows, _records(), 1, seed=5)
