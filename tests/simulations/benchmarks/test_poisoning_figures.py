"""The figures of the matrix of malicious sites, and what its page says of them. Oracle: by hand."""

import pytest

from simulations.benchmarks.poisoning import figures, page
from simulations.benchmarks.poisoning.__main__ import report
from simulations.benchmarks.poisoning.pair import SERVER_CHECKS, Outcome
from simulations.benchmarks.poisoning.plan import CLEAN, Pair


def outcome(accuracy: float | None, malicious: int = 1, **more) -> Outcome:
    sites = ("a", "b", "c", "d")
    return Outcome(scenario="x", code="x", accuracy=accuracy, sites=sites, malicious=sites[:malicious], **more)


def test_points_are_lost_against_the_same_rule_and_seed() -> None:
    clean = {1: outcome(0.9), 2: outcome(0.8)}
    attacked = {1: outcome(0.7), 2: outcome(0.7), 3: outcome(0.1)}
    assert figures.points_lost(attacked, clean).value == pytest.approx((20.0 + 10.0) / 2)
    assert figures.points_lost({1: outcome(None)}, clean).value is None


def test_the_best_rule_is_that_which_loses_least_and_does_not_stop() -> None:
    found = {
        Pair(CLEAN, "krum", 1, 1): outcome(0.9),
        Pair("nan", "krum", 1, 1): outcome(0.8),
        Pair(CLEAN, "median", 1, 1): outcome(0.8),
        Pair("nan", "median", 1, 1): outcome(0.77),
        Pair(CLEAN, "bulyan", 1, 1): outcome(0.9),
        Pair("nan", "bulyan", 1, 1): outcome(None, stopped="diverged"),
    }
    best = figures.least_lost(found, "nan", ["krum", "median", "bulyan"], 1)
    assert best is not None
    assert best[0] == "median"
    assert best[1] == pytest.approx(3.0)
    assert figures.least_lost(found, "inf", ["krum"], 1) is None


def test_recall_and_false_alarms_by_hand() -> None:
    runs = [
        outcome(0.9, malicious=2, named={"one": ("a", "c"), "two": ("b",)}),
        outcome(0.9, malicious=1, named={"one": ("a",), "two": ()}),
    ]
    both = figures.named(runs, ["one", "two"])
    assert (both.recall, both.false_alarms) == (3 / 3, 1 / 5)
    assert figures.named(runs, ["one"]).recall == 2 / 3
    assert figures.named([outcome(0.9, malicious=0)], ["one"]).recall is None


def test_the_page_says_under_which_attacks_a_goal_is_missed() -> None:
    """By hand: krum loses 10 points to lazy and 1 to nan; an honest site is named, no lazy one; alie is refused."""
    found = {
        Pair(CLEAN, "krum", 1, 1): outcome(0.9, malicious=0),
        Pair("lazy", "krum", 1, 1): outcome(0.8, named={"distance": ("b",)}),
        Pair("nan", "krum", 1, 1): outcome(0.89, named={SERVER_CHECKS: ("a",)}),
        Pair("alie", "krum", 1, 1): Outcome(scenario="x", code="x", refused="one is too few"),
    }
    attacks = ["lazy", "nan", "alie"]
    assert page.goals(found, attacks, ["mean", "krum", "mean+local"], 1) == (
        "Some robust rule loses at most 5 points: under every attack but lazy (10.0 under krum). At least 90% of the "
        "malicious sites are named: under every attack but lazy (0%). At most 5% of the honest sites are named: under "
        "every attack but lazy (33.3%)."
    )
    cases = [row.case for row in report(found, attacks, ["mean", "krum"], [1])]
    assert not any("alie" in case for case in cases)
    assert sum("lazy" in case for case in cases) == 3
