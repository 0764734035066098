"""Which noise for which epsilon. Oracles: the closed form, the accountant asked again, the notes' figures."""

import pytest

from privacy.accountants import TIGHTEST
from privacy.accountants.rdp import Rdp
from privacy.gaussian import noise_multiplier
from privacy.planning.noise import Schedule, around, costs, least_noise

HOSPITAL = Schedule(rate=0.032, num_steps=32)


def test_without_sampling_it_is_the_closed_form() -> None:
    found = least_noise(8.0, 1e-5, Schedule(1.0, 1), 50, "add_remove", TIGHTEST)
    assert found == pytest.approx(noise_multiplier(8.0, 1e-5, 50), rel=2e-4)
    assert found == pytest.approx(4.244, abs=2e-3)  # the notes' case


@pytest.mark.parametrize(
    ("epsilon", "relation", "accountant", "by"),
    [
        (1.0, "replace", TIGHTEST, TIGHTEST),
        (8.0, "add_remove", TIGHTEST, TIGHTEST),
        (3.0, "add_remove", Rdp(), Rdp()),
        (8.0, "replace", Rdp(), TIGHTEST),
    ],
)
def test_it_is_enough_and_a_little_less_is_not(epsilon: float, relation, accountant, by) -> None:
    """Replaced units of samples are for the tightest, whichever accountant is named."""
    found = least_noise(epsilon, 1e-4, HOSPITAL, 50, relation, accountant)
    assert found is not None
    assert 0.998 * epsilon < by(HOSPITAL.composition(found, 50, relation), 1e-4) <= epsilon
    assert by(HOSPITAL.composition(found / 1.005, 50, relation), 1e-4) > epsilon


def test_a_unit_that_is_replaced_needs_twice_the_noise_where_nothing_is_sampled() -> None:
    found = least_noise(8.0, 1e-5, Schedule(1.0, 1), 50, "replace", TIGHTEST)
    assert found == pytest.approx(2.0 * noise_multiplier(8.0, 1e-5, 50), rel=2e-4)


def test_the_notes_noise_comes_back() -> None:
    """z = 1 costs 7.424 over 50 rounds at delta 1e-4."""
    assert least_noise(7.424, 1e-4, HOSPITAL, 50, "add_remove", TIGHTEST) == pytest.approx(1.0, abs=2e-3)


def test_an_epsilon_that_needs_no_noise_is_told() -> None:
    assert least_noise(1e6, 1e-5, Schedule(1.0, 1), 1, "replace", TIGHTEST) is None


def test_the_table_of_costs() -> None:
    """Rows are rounds, columns noise; more rounds cost more, more noise less."""
    table = costs([0.8, 1.0], [1, 50], 1e-4, HOSPITAL, "add_remove", TIGHTEST)
    assert table[1][1] == TIGHTEST(HOSPITAL.composition(1.0, 50, "add_remove"), 1e-4) == pytest.approx(7.424, abs=5e-3)
    assert table[0][0] < table[1][0] > table[1][1] > table[0][1]
    assert around(50) == [1, 12, 25, 50, 100]
    assert around(1) == [1, 2]
