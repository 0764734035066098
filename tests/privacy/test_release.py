"""From releases to one epsilon and a sentence. Oracles: dp-accounting, closed forms, the notes' case, naive foils."""

import math
from dataclasses import replace

import pytest
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant

from privacy.accountants.rdp import Rdp
from privacy.gaussian import gaussian_epsilon, gaussian_mu
from privacy.release import Release, replaced, total_epsilon
from privacy.statement import Setting, statement

DELTA = 1e-5


def releases(count: int, multiplier: float = 4.5) -> list[Release]:
    return [Release("gaussian", 0.2, multiplier, 1.0, 1, "site", "add_remove", r) for r in range(1, count + 1)]


def _setting(**changes) -> Setting:
    given = {"mechanism": "central", "trusted": "the server", "at_sites": False, "num_sites": 5, "noise_share": 0.2}
    given["num_rounds"] = 50
    return Setting(**(given | {"num_values": 100_000, "delta": DELTA, "replayable": False} | changes))


def test_epsilon_is_of_all_rounds_together():
    """Neither a new accountant per round, which says one round's, nor the sum over rounds."""
    whole = total_epsilon(releases(50), DELTA)
    accountant = PLDAccountant(value_discretization_interval=1e-3)
    accountant.compose(SelfComposedDpEvent(GaussianDpEvent(4.5), 50))
    assert whole == pytest.approx(accountant.get_epsilon(DELTA), rel=0.01)
    one_round = total_epsilon(releases(1), DELTA)
    last_round_of_a_new_accountant, sum_over_rounds = one_round, 50 * one_round
    assert last_round_of_a_new_accountant < 0.15 * whole
    assert sum_over_rounds > 4 * whole
    assert all(total_epsilon(releases(n), DELTA) < total_epsilon(releases(n + 1), DELTA) for n in (1, 10, 49))


def test_steps_are_releases():
    (one,) = releases(1)
    assert total_epsilon([replace(one, steps=50)], DELTA) == pytest.approx(total_epsilon(releases(50), DELTA))
    assert total_epsilon([], DELTA) == 0.0


def test_replacing_a_site_costs_twice_the_mu():
    (one,) = releases(1)
    assert total_epsilon([replaced(one)], DELTA) == pytest.approx(gaussian_epsilon(2.0 / 4.5, DELTA))
    with pytest.raises(ValueError, match="add_remove"):
        replaced(replaced(one))


def test_what_cannot_be_accounted_for_is_refused():
    (one,) = releases(1)
    for use in (lambda release: total_epsilon([release], DELTA), replaced):
        with pytest.raises(ValueError, match="cannot be accounted"):
            use(replace(one, mechanism="laplace"))


def test_units_and_relations_are_not_mixed():
    (one,) = releases(1)
    for other in (replace(one, unit="record"), replaced(one)):
        with pytest.raises(ValueError, match="no common epsilon"):
            total_epsilon([one, other], DELTA)


def test_few_sites_are_told_that_it_is_hopeless_and_many_are_not():
    """Epsilon 8, delta 1e-5, 50 rounds, 5 sites, 1e5 parameters: z = 4.244, noise of norm z / 5 sqrt(1e5) = 268 C."""
    found = statement(releases(50), _setting())
    assert "noise of norm 268 times the bound" in found.outlook
    assert "hopeless" in found.outlook
    assert "(5 sites a round, 100,000 parameters)" in found.outlook
    many = statement(releases(50), _setting(num_sites=1000, noise_share=1e-3))
    assert "hopeless" not in many.outlook
    assert "would need" in many.outlook
    enough = math.sqrt(100_000) / gaussian_mu(8.0, DELTA)  # sites, by the condition of the module
    for num_sites, hopeless in ((0.99 * enough, True), (1.01 * enough, False)):
        outlook = statement(releases(50), _setting(noise_share=1.0 / num_sites)).outlook
        assert ("hopeless" in outlook) == hopeless


def test_the_statement_says_unit_relation_delta_releases_and_who_is_trusted():
    found = statement(releases(50), _setting())
    by_relation = {g.relation: g for g in found.guarantees}
    assert {(g.unit, g.delta, g.releases) for g in found.guarantees} == {("site", DELTA, 50)}
    assert by_relation["add_remove"].epsilon == pytest.approx(7.46, abs=5e-3)
    assert by_relation["replace"].epsilon > 2 * by_relation["add_remove"].epsilon
    for words in ("site level", "one site added or removed", "delta = 1e-05", "50 releases", "trusted: the server"):
        assert words in found.sentence
    assert not found.sentence.startswith("Not private")
    assert any("recorded" in item for item in found.not_covered)
    assert all("baselines" in " ".join(s.not_covered) for s in (found, statement(releases(1), _setting(at_sites=True))))


def test_a_simulation_is_called_not_private():
    found = statement(releases(50), _setting(replayable=True))
    assert found.replayable
    assert found.sentence.startswith("Not private: the noise of this simulation can be drawn again")


def test_a_statement_is_by_the_accountant_that_it_names():
    """Naive: epsilon of the statement by one, of each round by another."""
    found = statement(releases(50), _setting(accountant=Rdp()))
    assert [g.epsilon for g in found.guarantees] == [
        total_epsilon(releases(50), DELTA, Rdp()),
        total_epsilon([replaced(each) for each in releases(50)], DELTA, Rdp()),
    ]
    assert "one site added or removed, by rdp" in found.sentence
    assert "by pld" in statement(releases(50), _setting()).sentence
    assert "validation and test scores, which are sent without noise" in found.sentence
