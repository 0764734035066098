"""Words and numbers. Oracles: by hand; laws (bounded length, distinct labels) with hypothesis."""

from hypothesis import given
from hypothesis import strategies as st

from medfed.report.text import duration, interval, labels, listing, number, ranges, short, size
from medfed.results import Estimate


def test_numbers_are_rounded_to_three_decimals_and_never_minus_zero():
    assert number(0.86549) == "0.865"
    assert number(-0.0001) == "0.000"
    assert number(None) == number(float("nan")) == "\N{EN DASH}"


def test_interval_needs_both_ends():
    assert interval(Estimate(value=0.5, low=0.4, high=0.6, n=3)) == "0.400\N{EN DASH}0.600"
    assert interval(Estimate(value=0.5, low=-0.1, high=0.6, n=3)) == "-0.100 to 0.600"
    assert interval(Estimate(value=0.5, low=None, high=0.6, n=3)) == interval(None) == ""


def test_ranges_listing_size_duration():
    assert ranges([3, 1, 2, 7, 7]) == "1\N{EN DASH}3, 7"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing(["a"]) == "a"
    assert listing([]) == ""
    assert listing([str(k) for k in range(9)], limit=2) == "0, 1 and 7 more"
    assert (size(999), size(64_800_000)) == ("999 B", "64.8 MB")
    assert (duration(3.21), duration(200), duration(7500)) == ("3.2 s", "3 min 20 s", "2 h 05 min")


@given(st.text(max_size=400), st.integers(5, 60))
def test_short_is_bounded_and_free_of_control_characters(text: str, length: int):
    found = short(text, length)
    assert len(found) <= length
    assert not any(ord(character) < 32 for character in found)


@given(st.lists(st.text(alphabet="xy\n", max_size=80), unique=True, max_size=20))
def test_labels_tell_names_apart(names: list[str]):
    found = labels(names, 12)
    assert list(found) == names
    assert len(set(found.values())) == len(names)


def test_labels_of_a_repeated_name_are_one_label():
    assert labels(["a", "b", "a"]) == {"a": "a", "b": "b"}
