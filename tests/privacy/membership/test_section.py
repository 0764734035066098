"""The section on membership. Oracles: a model that knows noise by heart, one that knows nothing, laws, by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medfed.audit.contract import NotTestedError
from medfed.audit.verdicts import Verdict
from medfed.config import Scenario
from medfed.results import Guarantee, PrivacyStatement, RunResult
from privacy.gaussian import gaussian_epsilon
from privacy.membership.promise import for_images, largest_tpr
from privacy.membership.roc import beyond_luck
from privacy.membership.section import Membership
from privacy.membership.shadows import shadow_scenario, trained_on
from tests.privacy.membership.noise_run import context

QUICK = {"fpr": 0.1, "max_tpr": 0.3, "control_images": 100, "label_draws": 4}


def _promise(epsilon: float) -> PrivacyStatement:
    guarantee = Guarantee(unit="record", relation="replace", epsilon=epsilon, delta=1e-5, releases=1)
    words = dict.fromkeys(("mechanism", "trusted", "covered", "sentence", "outlook"), "x")
    return PrivacyStatement(noise_multiplier=1.0, guarantees=[guarantee], not_covered=[], replayable=True, **words)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory):
    """The section on a model that knows its images by heart, of which somebody claims that it is private."""
    return Membership(**QUICK)(context(tmp_path_factory.mktemp("learned"), learned=True, privacy=_promise(0.1)))


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory):
    """Of a run whose model has its first weights still; each shadow is trained once for all who ask."""
    given = context(tmp_path_factory.mktemp("blank"), learned=False)
    done: dict[str, RunResult] = {}

    def trained(shadow: Scenario) -> RunResult:
        if shadow.name not in done:
            done[shadow.name] = given.run_scenario(shadow)
        return done[shadow.name]

    return replace(given, run_scenario=trained)


def test_a_model_that_knows_its_images_by_heart_fails_at_every_site(learned):
    sites = [finding for finding in learned.findings if "site-" in finding.what]
    assert [finding.what[-7:] for finding in sites] == ["site-01", "site-02"]
    assert all(finding.verdict is Verdict.FAIL and finding.estimate.value > 0.7 for finding in sites)
    assert learned.positive_control.holds
    assert learned.verdict is Verdict.FAIL


def test_a_promise_that_the_attack_breaks_is_refuted(learned):
    claim = learned.findings[-1]
    assert "(epsilon, delta)" in claim.what
    assert claim.threshold == pytest.approx(np.exp(0.1) * 0.1 + 1e-5)
    assert claim.verdict is Verdict.FAIL


def test_tables_show_every_attack_and_rates_with_too_few_images_are_named(learned):
    """Laws: all sites are the sum of the sites; the best attack is the finding; the rate is that of all others."""
    named, alarms, promise, shares = learned.tables
    assert named.columns == alarms.columns == ("Site", "loss_threshold", "lira_offline", "lira_online", "rmia")
    assert [row[0] for row in named.rows] == ["site-01", "site-02", "all sites"]
    for one, two, both in zip(*(row[1:] for row in named.rows), strict=True):
        assert both.n == one.n + two.n == 120
        assert both.value * both.n == pytest.approx(one.value * one.n + two.value * two.n)
    for finding, row in zip(learned.findings, named.rows, strict=True):
        assert finding.estimate.value == max(cell.value for cell in row[1:])
    assert [row[0] for row in alarms.rows] == ["site-01", "site-02"]
    accused = {
        name: sum(round(cell.value * cell.n) for cell in cells)
        for name, *cells in zip(alarms.columns[1:], *(row[1:] for row in alarms.rows), strict=True)
    }
    assert accused["loss_threshold"] == accused["lira_offline"] == 12  # 0.1 of 120; scores that tie accuse fewer
    assert all(number <= 12 for number in accused.values())
    assert promise.rows[0][3] == pytest.approx(np.exp(0.1) * 0.1 + 1e-5)
    assert promise.rows[0][4] == learned.findings[-1].estimate
    assert promise.rows[1][4] == "too few images"
    assert [row[0] for row in shares.rows] == ["site-01", "site-02", "mean"]
    assert any("0.001 false positives: it needs 1000 images" in line for line in learned.not_tested)


def test_a_model_that_knows_nothing_passes_and_no_more_are_named_than_by_luck(blank):
    found = Membership(**QUICK | {"max_tpr": 0.45})(blank)
    assert found.positive_control.holds
    assert found.verdict is Verdict.PASS
    for finding in found.findings:  # four attacks at two sites
        assert finding.estimate.value < beyond_luck(finding.estimate.n, 120, QUICK["fpr"], 0.01 / (4 * 2)) < 0.35


def test_an_attack_that_misses_what_was_learned_by_heart_is_too_weak(blank):
    """One step of the control's training teaches nothing, so that the control cannot hold."""
    found = Membership(**(QUICK | {"control_steps": 1, "max_tpr": 1.0}))(blank)
    assert not found.positive_control.holds
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_control_that_luck_could_pass_does_not_hold(learned, blank, monkeypatch: pytest.MonkeyPatch):
    """At this rate knowing nothing names 5 of 10 members, beside 10 others, in 7 % of trials, and 25 of 50 never."""
    monkeypatch.setattr("privacy.membership.section.control_tpr", lambda *_: 0.5)
    found = Membership(**QUICK | {"control_images": 20, "max_tpr": 1.0})(blank)
    assert not found.positive_control.holds
    assert found.positive_control.expected == beyond_luck(10, 10, QUICK["fpr"], 0.01 / 4) > 0.5
    assert found.verdict is Verdict.INCONCLUSIVE
    assert learned.positive_control.expected == 0.5


@pytest.mark.parametrize(("mechanism", "holds"), [("local", True), ("tests.privacy.membership.noise_run:Quiet", False)])
def test_canaries_go_through_the_mechanism_of_a_private_run(tmp_path: Path, mechanism: str, holds: bool):
    """Oracles: noise planted at half of the claim, and epsilon of the claim by the analytic Gaussian mechanism."""
    extra = f'[privacy]\nmechanism = {{ name = "{mechanism}", clip = 1.0, noise_multiplier = 0.6 }}\n'
    few = QUICK | {"fpr": 0.005, "canaries": 100}  # too few images for this rate, so that no shadow is trained
    found = Membership(**few)(context(tmp_path, learned=False, extra=extra))
    assert [check.holds for check in found.checks] == [holds, True]
    assert found.verdict is (Verdict.NOT_TESTED if holds else Verdict.INVALID)
    table = next(table for table in found.tables if "100 canaries" in table.title)
    assert table.rows[0][:2] == ("claimed", pytest.approx(gaussian_epsilon(1 / 0.6, 1e-5)))


def test_no_canaries_are_sent_where_nothing_is_private(learned):
    assert learned.checks == ()
    assert not any("canaries" in table.title for table in learned.tables)


def test_every_image_trains_half_of_the_shadows_and_none_of_them_says_who_is_a_member(blank):
    inside = [trained_on(shadow_scenario(blank.scenario, number)) for number in (1, 2, 3, 4)]
    for site in blank.sites:
        data = blank.site(site)
        known = {*map(int, data.train.rows), *map(int, data.val.rows)}
        first, second, third, fourth = (found[site] for found in inside)
        assert first | second == third | fourth == known
        assert not first & second
        assert not third & fourth
        assert first not in (third, fourth)
        assert abs(len(first) - len(second)) <= 1
        assert 0.2 < len(first & {*map(int, data.train.rows)}) / len(first) < 0.8


def test_shadows_share_the_division_of_the_images_and_no_random_number_besides(blank):
    one, two = (shadow_scenario(blank.scenario, number) for number in (1, 2))
    assert len({blank.scenario.seed, one.seed, two.seed}) == 3
    assert one.data.seed == two.data.seed == blank.scenario.seed
    assert not one.record.rounds
    assert not one.baselines.local


def test_too_few_images_that_were_not_trained_on_are_said_before_any_shadow_is_trained(blank):
    """120 are not enough for one false positive in 200."""
    given = replace(blank, run_scenario=lambda shadow: pytest.fail("trained a shadow"))
    found = Membership(**(QUICK | {"fpr": 0.005}))(given)
    assert found.verdict is Verdict.NOT_TESTED
    assert found.not_tested == (
        "who was in the training data: needs 200 images that were not trained on; there are 120",
    )
    assert len(found.tables) == 1


def test_a_model_without_its_run_is_not_tested(blank):
    with pytest.raises(NotTestedError, match="the model alone"):
        Membership()(replace(blank, trained_here=False))


@pytest.mark.parametrize(
    ("epsilon", "delta", "fpr", "expected"),
    [(0.0, 0.0, 0.01, 0.01), (1.0, 0.001, 0.01, np.e * 0.01 + 0.001), (1e9, 0.0, 0.01, 1.0), (0.1, 0.0, 0.9, None)],
)
def test_what_privacy_allows(epsilon, delta, fpr, expected):
    """By hand; where few are spared, the bound on false negatives is the tighter one."""
    expected = 1 - np.exp(-0.1) * 0.1 if expected is None else expected
    assert largest_tpr(epsilon, delta, fpr) == pytest.approx(expected)


def test_a_promise_holds_for_images_in_the_replace_relation_only():
    """Whatever the unit: sites tell how many images they have, so that one more or less is no secret."""

    def promise(unit: str, relation: str, epsilon: float) -> Guarantee:
        return Guarantee(unit=unit, relation=relation, epsilon=epsilon, delta=1e-5, releases=1)

    site, replaced = promise("site", "add_remove", 1), promise("site", "replace", 2)
    record, other = promise("record", "add_remove", 3), promise("record", "replace", 4)
    assert for_images([site, record]) is None
    assert for_images([site, replaced, record]) is replaced
    assert for_images([promise("record", "add_remove", 1), other]) is other
