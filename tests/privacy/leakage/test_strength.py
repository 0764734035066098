"""When an attack counts as strong. Oracle: the binomial distribution and the median by hand."""

import pytest

from privacy.leakage.strength import Goal, strength

GOAL = Goal(decibels=25.0, named=0.9)


@pytest.mark.parametrize(
    ("decibels", "ranks", "people", "by_naming", "holds"),
    [
        ([25.0], [7], 100, False, True),
        ([100.0, 10.0], [1, 7], 5, False, False),  # half is not more than half; one of two by luck: 1 - 0.8^2
        ([100.0, 30.0, 10.0], [7, 7, 7], 100, False, True),
        ([10.0], [1], 100, True, True),  # luck 1 / 100, which is the most
        ([10.0], [1], 99, False, False),
        ([10.0] * 3, [1, 1, 1], 6, True, True),  # luck 1 / 216
        ([10.0] * 10, [1] * 8 + [2, 2], 100, True, False),  # no luck, and not nine tenths
        ([10.0], [], 1, False, False),
    ],
)
def test_by_likeness_or_by_naming_beyond_luck(
    decibels: list[float], ranks: list[int], people: int, by_naming: bool, holds: bool
) -> None:
    found = strength(decibels, ranks, people, GOAL)
    assert (found.by_naming, found.holds) == (by_naming, holds)


def test_naming_may_be_refused_and_the_median_is_the_lower_one() -> None:
    found = strength([10.0, 20.0], [1, 1], 100, Goal(25.0, 0.9, naming_suffices=False))
    assert (found.decibels, found.named, found.holds) == (10.0, 1.0, False)
