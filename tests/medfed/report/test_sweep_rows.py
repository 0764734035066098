"""Rows of a sweep: which is best, and what a difference is taken to. Oracle: by hand."""

import pytest

from medfed.report.sweep_results import RunState
from medfed.report.sweep_rows import build_row, compare_rows
from medfed.report.sweep_text import clear, conclusions, count
from medfed.results import Estimate
from tests.medfed.report.sweeps import build_run, build_sweep


def test_the_best_is_chosen_by_validation_though_test_says_otherwise() -> None:
    found = build_sweep({"a": [0.9, 0.9], "b": [0.8, 0.8]}, {"a": [0.7, 0.7], "b": [0.75, 0.75]})
    assert [row.best for row in found.rows] == [False, True]
    (line,) = conclusions(found)
    assert "strategy b. Its test AUROC: 0.800" in line
    assert "-0.100 (-0.100 to -0.100), clearly worse" in line


def test_a_difference_is_paired_by_seed_to_the_first_row() -> None:
    found = build_sweep({"a": [0.5, 0.7, 0.9], "b": [0.51, 0.71, 0.91]})
    first, second = found.rows
    assert (first.reference, first.difference) == (None, None)
    assert second.reference == "a"
    assert second.difference is not None
    assert second.difference.value == pytest.approx(0.01)
    assert second.difference.low == pytest.approx(0.01)  # the seeds' own spread of 0.2 cancels
    assert second.test.high == pytest.approx(1.0)  # bounded: 0.71 + 4.303 * 0.2 / sqrt(3)


def test_a_row_with_a_failed_run_is_not_chosen_and_says_so() -> None:
    found = build_sweep({"a": [0.8, 0.8], "b": [0.9, None]}, status="DEGRADED")
    assert [row.best for row in found.rows] == [True, False]
    assert found.rows[1].difference is not None
    assert (found.rows[1].difference.n, found.rows[1].difference.low) == (1, None)
    assert count(found.rows[1]) == "1 of 2, 1 failed"


def test_nothing_is_chosen_while_runs_are_to_come() -> None:
    pending = build_run(2, 0.9, 0.9).model_copy(update={"state": RunState.PENDING, "test": None, "validation": None})
    rows = [
        build_row("a", {"k": "a"}, 1, [build_run(1, 0.9, 0.9), pending], "auroc"),
        build_row("b", {"k": "b"}, 1, [build_run(1, 0.8, 0.8), build_run(2, 0.8, 0.8)], "auroc"),
    ]
    assert not any(row.best for row in compare_rows(rows, "auroc"))
    assert count(rows[0]) == "1 of 2, 1 to come"


def test_rows_are_compared_and_chosen_within_their_data() -> None:
    tests = {"a1": [0.5, 0.5], "a2": [0.9, 0.9], "b1": [0.6, 0.6], "b2": [0.8, 0.8]}
    found = {row.label: row for row in build_sweep(tests, groups={"a1": 1, "b1": 1, "a2": 2, "b2": 2}).rows}
    assert {label for label, row in found.items() if row.best} == {"b1", "a2"}
    assert {label: row.reference for label, row in found.items()} == {"a1": None, "a2": None, "b1": "a1", "b2": "a2"}


def test_where_only_the_data_differ_they_are_compared_and_none_is_best() -> None:
    found = build_sweep({"0.1": [0.5, 0.6], "1": [0.9, 0.9]}, groups={"0.1": 1, "1": 2})
    assert not any(row.best for row in found.rows)
    assert found.rows[1].reference == "0.1"
    assert "nothing to choose" in conclusions(found)[0]


def test_one_seed_shows_the_runs_own_interval() -> None:
    (row,) = build_sweep({"a": [0.8]}).rows
    assert row.test == build_run(1, 0.8).test
    assert (row.validation.low, row.validation.n) == (None, 1)


def test_lower_is_better_for_a_loss() -> None:
    low = Estimate(value=-0.2, low=-0.3, high=-0.1, n=3)
    assert (clear(low, "loss"), clear(low, "auroc")) == ("better", "worse")
    assert clear(low.model_copy(update={"high": 0.0}), "auroc") == "unclear"
    runs = [[build_run(1, level, level)] for level in (0.5, 0.2)]
    rows = [build_row(name, {}, 1, found, "loss") for name, found in zip("ab", runs, strict=True)]
    assert [row.best for row in compare_rows(rows, "loss")] == [False, True]


def test_the_first_of_equals_is_best_and_an_unknown_validation_never() -> None:
    assert [row.best for row in build_sweep({"a": [0.5, 0.7], "b": [0.7, 0.5]}).rows] == [True, False]
    unknown = build_sweep({"a": [0.5], "b": [0.9]}, {"a": [None], "b": [None]})
    assert not any(row.best for row in unknown.rows)
    assert conclusions(unknown) == ["No row has a validation figure for each of its seeds, so none is chosen."]
