"""What a site may spend. Oracles: closed forms, by hand, and laws (a larger unit's noise covers a smaller one)."""

import math
from dataclasses import replace

import pytest

from medfed.errors import PrivacyBudgetError
from privacy.accountants import TIGHTEST
from privacy.accountants.rdp import Rdp
from privacy.gaussian import gaussian_epsilon
from privacy.ledger.budget import Budget, covers, spent
from privacy.release import Release, replaced, total_epsilon

RECORD = Release("gaussian", 1.0, 2.0, 0.1, 10, "record", "add_remove", 1)
PATIENT = replace(RECORD, unit="patient")
SITE = Release("gaussian", 1.0, 4.0, 1.0, 1, "site", "add_remove", 1)


def test_what_is_spent_is_what_the_accountant_says() -> None:
    given = [replace(RECORD, round=number) for number in range(1, 6)]
    other = [replaced(each) for each in given]
    assert spent(given, "record", 1e-5, relation="add_remove") == total_epsilon(given, 1e-5)
    assert spent(given, "record", 1e-5, Rdp(), "add_remove") == total_epsilon(given, 1e-5, Rdp())
    assert spent(given, "record", 1e-5, Rdp()) == total_epsilon(other, 1e-5, TIGHTEST)
    assert spent([], "patient", 1e-5) == 0.0


def test_what_holds_is_what_counts() -> None:
    """A record or a patient that is replaced moves a sum twice as far; a site's presence is public."""
    for unit, holds in (("record", "replace"), ("patient", "replace"), ("site", "add_remove")):
        one = replace(SITE, unit=unit)
        mu = {"replace": 2.0 / 4.0, "add_remove": 1.0 / 4.0}[holds]
        assert spent([one], unit, 1e-5) == spent([one], unit, 1e-5, relation=holds)
        assert spent([one], unit, 1e-5) == pytest.approx(gaussian_epsilon(mu, 1e-5), rel=1e-9)
    cost = spent([RECORD], "record", 1e-5, relation="add_remove")
    with pytest.raises(PrivacyBudgetError, match=r"at delta 1e-05 \(one replaced\)"):
        Budget("record", 1.01 * cost, 1e-5).require([], RECORD)


def test_a_ledger_of_sampled_records_and_of_integers_has_an_epsilon() -> None:
    """Renyi's alone covers integers; where a sampled record is replaced, its bound is loose, but there is one."""
    integers = replace(SITE, mechanism="discrete_gaussian")
    alone = spent([integers], "record", 1e-5)
    both = spent([integers, RECORD], "record", 1e-5)
    assert alone + spent([RECORD], "record", 1e-5) < both < math.inf


def test_noise_for_larger_units_covers_smaller_ones_and_not_the_other_way_round() -> None:
    """A record that changes turns its patient's, or its site's, contribution into another: the replace relation."""
    assert [
        [covers(release, unit) for unit in ("record", "patient", "site")] for release in (RECORD, PATIENT, SITE)
    ] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert spent([SITE] * 3, "record", 1e-5) == pytest.approx(gaussian_epsilon(2.0 * 3.0**0.5 / 4.0, 1e-5), rel=1e-9)
    assert spent([PATIENT], "record", 1e-5) == total_epsilon([replaced(PATIENT)], 1e-5)
    assert spent([RECORD], "patient", 1e-5) == math.inf
    assert spent([SITE, RECORD], "site", 1e-5) == math.inf


def test_releases_for_several_units_are_counted_together() -> None:
    mixed = [RECORD, PATIENT, SITE]
    by_hand = [replaced(RECORD), replace(replaced(PATIENT), unit="record"), replace(replaced(SITE), unit="record")]
    assert spent(mixed, "record", 1e-5) == total_epsilon(by_hand, 1e-5)
    assert spent(mixed, "record", 1e-5) > max(spent([one], "record", 1e-5) for one in mixed)


def test_a_budget_holds_to_the_last_release_and_no_further() -> None:
    cost = total_epsilon([replaced(RECORD)] * 3, 1e-5)
    budget = Budget("record", cost, 1e-5)
    budget.require([RECORD] * 2, RECORD)
    with pytest.raises(PrivacyBudgetError, match=r"spent so far .* in 3 releases; round 1 would make it"):
        budget.require([RECORD] * 3, RECORD)
    with pytest.raises(PrivacyBudgetError):
        Budget("record", cost, 1e-6).require([RECORD] * 2, RECORD)
    with pytest.raises(PrivacyBudgetError):
        Budget("site", spent([SITE] * 3, "site", 1e-5), 1e-5, Rdp()).require([SITE] * 2, SITE)


def test_what_does_not_protect_the_unit_of_a_budget_is_refused_however_large_it_is() -> None:
    for planned, said in ((None, "noise none"), (RECORD, "noise for one record")):
        with pytest.raises(PrivacyBudgetError, match=said):
            Budget("patient", 1e9, 1e-5, TIGHTEST).require([], planned)
