"""From releases to epsilon. Oracles: dp-accounting's accountants at its own resolution, closed forms, a figure of the
notes, and laws (more rounds cost more, more noise less; methods bound each other)."""

import math
from dataclasses import replace

import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.privacy_accountant import NeighboringRelation
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from medfed.errors import ScenarioError
from medfed.registry import table
from privacy.accountants.contract import Composition, Steps
from privacy.accountants.pld import Pld, interval_of, reach_of
from privacy.accountants.prv import Prv
from privacy.accountants.rdp import Rdp
from privacy.gaussian import gaussian_epsilon
from privacy.release import Release, composition, replaced, total_epsilon

GRID = [
    (multiplier, rate, steps, rounds)
    for multiplier in (0.7, 1.0, 4.0)
    for rate in (0.002, 0.032, 0.3, 1.0)
    for steps, rounds in ((1, 1), (8, 5), (32, 50))
    if rate * (steps * rounds) ** 0.5 / multiplier < 6.0  # above, epsilon has no use, and theirs takes seconds
]
METHODS = [(0.7, 0.002), (1.0, 0.032), (4.0, 0.032), (2.0, 0.1)]
every_accountant = pytest.mark.parametrize("name", table("accountant"))


def rounds_of(count: int, multiplier: float = 1.0, rate: float = 0.032, steps: int = 32) -> list[Release]:
    return [Release("gaussian", 1.0, multiplier, rate, steps, "record", "add_remove", r + 1) for r in range(count)]


def reference(multiplier: float, rate: float, count: int, delta: float, relation: NeighboringRelation) -> float:
    accountant = PLDAccountant(relation, value_discretization_interval=1e-4)
    accountant.compose(SelfComposedDpEvent(PoissonSampledDpEvent(rate, GaussianDpEvent(multiplier)), count))
    return float(accountant.get_epsilon(delta))


@pytest.mark.parametrize(("multiplier", "rate", "steps", "rounds"), GRID)
def test_the_ledgers_epsilon_is_that_of_dp_accounting_within_a_hundredth(multiplier, rate, steps, rounds):
    found = total_epsilon(rounds_of(rounds, multiplier, rate, steps), 1e-5)
    expected = reference(multiplier, rate, steps * rounds, 1e-5, NeighboringRelation.ADD_OR_REMOVE_ONE)
    assert found == pytest.approx(expected, rel=0.01, abs=1e-3)


@pytest.mark.parametrize(("multiplier", "rate"), [(0.7, 0.032), (2.0, 0.3), (2.0, 1.0)])
def test_replacing_a_unit_is_dp_accountings_replace_one(multiplier, rate):
    found = total_epsilon([replaced(one) for one in rounds_of(10, multiplier, rate)], 1e-5)
    assert found == pytest.approx(reference(multiplier, rate, 320, 1e-5, NeighboringRelation.REPLACE_ONE), rel=0.01)
    assert found > total_epsilon(rounds_of(10, multiplier, rate), 1e-5)


def test_the_case_of_the_notes():
    """N = 1000, batches of 32, 50 rounds of an epoch, z = 1: neither one round's epsilon nor 50 times it."""
    whole, one = total_epsilon(rounds_of(50), 1e-4), total_epsilon(rounds_of(1), 1e-4)
    assert whole == pytest.approx(7.424, abs=5e-3)  # by dp-accounting at 1e-4
    assert one < 0.2 * whole
    assert 50 * one > 5 * whole


@pytest.mark.parametrize(("multiplier", "rate"), METHODS)
def test_methods_agree_on_the_safe_side(multiplier, rate):
    """PRV has a stated error; Renyi is looser, and no worse than dp-accounting's, which leaves out orders near 1."""
    given = rounds_of(10, multiplier, rate)
    tight, prv, renyi = (total_epsilon(given, 1e-5, accountant()) for accountant in (Pld, Prv, Rdp))
    assert 0.99 * tight <= prv <= tight + 0.025
    assert tight <= renyi * 1.001
    theirs = RdpAccountant()
    theirs.compose(SelfComposedDpEvent(PoissonSampledDpEvent(rate, GaussianDpEvent(multiplier)), 320))
    assert 0.9 * theirs.get_epsilon(1e-5) < renyi < 1.01 * theirs.get_epsilon(1e-5)


def test_where_nothing_is_sampled_it_is_exact():
    given = [*rounds_of(20, 4.0, 1.0, 3), *rounds_of(5, 8.0, 1.0, 2)]
    mu = math.sqrt(60 / 16 + 10 / 64)
    assert total_epsilon(given, 1e-5) == pytest.approx(gaussian_epsilon(mu, 1e-5), rel=1e-12)
    assert total_epsilon(given, 1e-5, Prv()) == pytest.approx(gaussian_epsilon(mu, 1e-5), abs=0.011)


def test_a_mixed_composition_is_that_of_dp_accounting():
    """Two kinds of sampled steps and some of all units."""
    given = [*rounds_of(10), *rounds_of(5, 0.8, 0.01, 100), *rounds_of(3, 6.0, 1.0, 1)]
    accountant = PLDAccountant(value_discretization_interval=5e-4)
    for multiplier, rate, count in ((1.0, 0.032, 320), (0.8, 0.01, 500), (6.0, 1.0, 3)):
        accountant.compose(SelfComposedDpEvent(PoissonSampledDpEvent(rate, GaussianDpEvent(multiplier)), count))
    expected = accountant.get_epsilon(1e-5)
    assert total_epsilon(given, 1e-5) == pytest.approx(expected, rel=0.01)
    assert total_epsilon(given[::-1], 1e-5) == total_epsilon(given, 1e-5)
    assert total_epsilon(given, 1e-5, Prv()) == pytest.approx(expected, rel=0.01)


@settings(max_examples=5)
@given(st.floats(0.6, 5.0), st.floats(1e-3, 1.0), st.integers(1, 200))
def test_more_rounds_cost_more_and_more_noise_less(multiplier, rate, steps):
    def cost(**changes):
        (one,) = rounds_of(1, multiplier, rate, steps)
        return total_epsilon([replace(one, **changes)], 1e-5)

    slack = 1.002  # of the discretisation
    assert cost() <= slack * cost(steps=2 * steps) + 1e-6
    assert cost(noise_multiplier=1.5 * multiplier) <= slack * cost() + 1e-6
    assert cost(sampling_rate=rate / 2) <= slack * cost() + 1e-6
    assert cost() <= slack * cost(sampling_rate=1.0) + 1e-6


@every_accountant
def test_equal_steps_are_one_kind_whoever_counts_them(name):
    accountant = table("accountant")[name]()
    one = total_epsilon(rounds_of(1, steps=320), 1e-5, accountant)
    assert total_epsilon(rounds_of(10, steps=32), 1e-5, accountant) == one
    assert composition(rounds_of(10)) == Composition((Steps(1.0, 0.032, 320),), replace=False)


@every_accountant
def test_nothing_costs_nothing_and_a_wrong_delta_is_refused(name):
    accountant = table("accountant")[name]()
    assert total_epsilon([], 1e-5, accountant) == 0.0
    assert total_epsilon([replace(one, steps=0) for one in rounds_of(3)], 1e-5, accountant) == 0.0
    for delta in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match="delta"):
            total_epsilon(rounds_of(1), delta, accountant)


@every_accountant
@pytest.mark.parametrize("change", [{"sampling_rate": 0.0}, {"sampling_rate": 1.5}, {"noise_multiplier": 0.0}])
def test_numbers_that_cannot_be_are_refused(name, change):
    (one,) = rounds_of(1)
    with pytest.raises(ValueError, match="expected noise, a sampling rate"):
        total_epsilon([replace(one, **change)], 1e-5, table("accountant")[name]())


@every_accountant
def test_what_is_not_known_is_refused(name):
    (one,) = rounds_of(1)
    accountant = table("accountant")[name]()
    with pytest.raises(ValueError, match="cannot be accounted"):
        total_epsilon([replace(one, mechanism="laplace")], 1e-5, accountant)
    with pytest.raises(ValueError, match="no common epsilon"):
        total_epsilon([one, replace(one, unit="patient")], 1e-5, accountant)


@pytest.mark.parametrize("accountant", [Prv(), Rdp()])
def test_the_replace_relation_of_sampled_units_is_pld_s_alone(accountant):
    """PRV refuses it; of Renyi's, which is loose, no use is made. Without samples each does it itself."""
    sampled = [replaced(one) for one in rounds_of(1)]
    assert total_epsilon(sampled, 1e-5, accountant) == total_epsilon(sampled, 1e-5)
    if isinstance(accountant, Prv):
        with pytest.raises(ScenarioError, match='use accountant = "pld"'):
            accountant(composition(sampled), 1e-5)
    else:
        assert accountant(composition(sampled), 1e-5) > total_epsilon(sampled, 1e-5)
    whole = [replaced(one) for one in rounds_of(1, 4.0, 1.0, 1)]
    assert total_epsilon(whole, 1e-5, accountant) == pytest.approx(total_epsilon(whole, 1e-5), rel=0.25)


def test_little_noise_needs_no_finer_mesh_than_there_is_memory_for():
    for steps in ((Steps(0.01, 0.01, 1000),), (Steps(1.0, 1e-4, 100_000),), (Steps(50.0, 0.5, 10**6),)):
        assert reach_of(steps) / interval_of(steps) < 250_000
    mu = 2**0.5 / 0.03
    almost_all = total_epsilon(rounds_of(1, 0.03, 0.99, 2), 1e-5)
    assert 0.9 * gaussian_epsilon(mu, 1e-5) < almost_all < 1.001 * gaussian_epsilon(mu, 1e-5)
    with pytest.raises(ScenarioError, match="no epsilons this large"):
        total_epsilon(rounds_of(1, 0.03, 0.99, 2), 1e-5, Prv())
