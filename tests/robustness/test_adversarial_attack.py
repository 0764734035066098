"""The audit section on adversarial images: the attack that runs, one of the user's own, and one too weak.

Oracle: models whose worst case is known in closed form (tests/robustness/closed_form.py).
"""

import pytest

from medfed.audit.contract import NotTestedError
from medfed.audit.plan import in_every_section, make_plan
from medfed.errors import ScenarioError
from robustness.adversarial import Adversarial
from robustness.adversarial_tables import not_tested, tried
from robustness.attacks.ensemble import Ensemble
from tests.robustness.closed_form import QUICK, MeanLevel, NotANumber, films


def test_an_attack_too_weak_for_its_control_never_passes():
    result = Adversarial(**QUICK, control_eps_grey_levels=4.0, min_robust_accuracy=0.1)(films(MeanLevel()))
    assert [finding.verdict for finding in result.findings] == ["PASS"] * 3
    assert not result.positive_control.holds
    assert result.verdict == "INCONCLUSIVE"


def test_what_ran_is_named_and_what_did_not():
    context = films(MeanLevel())
    weak = Adversarial(**QUICK, attack="fgsm", images=8)(context)
    assert 'by the attack "fgsm"' in weak.tried
    (reason,) = [reason for reason in weak.not_tested if "stronger" in reason]
    assert reason.startswith('the section\'s own attack, "ensemble", in whose place "fgsm" ran')
    assert 'by the attack "ensemble"' in tried(8, 8.0, Ensemble())
    table = weak.tables[1]
    assert not any("stronger" in reason for reason in not_tested(table, Ensemble(), Ensemble()))
    assert any("stronger" in reason for reason in not_tested(table, Ensemble(steps=1), Ensemble()))


def test_a_model_that_no_attack_can_serve_is_not_tested():
    with pytest.raises(NotTestedError, match="no attack can serve this model"):
        Adversarial(**QUICK)(films(NotANumber()))


def test_another_attack_takes_the_place_of_the_section_s_own_and_a_weak_one_is_invalid():
    """One step of a thousandth of eps fools nobody: 20 steps of PGD, among the checks, do."""
    strong = Adversarial(**QUICK, attack={"name": "apgd", "steps": 10})(films(MeanLevel()))
    assert strong.findings[0].estimate.value == 0.6
    assert strong.verdict != "INVALID"
    assert (
        Adversarial(**QUICK, attack={"name": "pgd", "steps": 1, "step": 1e-3})(films(MeanLevel())).verdict == "INVALID"
    )


def test_an_option_for_every_section_with_the_field_knows_no_section_by_name():
    assert in_every_section("attack", "apgd") == ("adversarial.attack=apgd",)
    plan = make_plan(("adversarial",), in_every_section("attack", "apgd", ("adversarial",)))
    assert plan == {"adversarial": Adversarial(attack="apgd")}
    with pytest.raises(ScenarioError, match='has the field "attack"; asked for: poisoning'):
        in_every_section("attack", "apgd", ("poisoning",))


@pytest.mark.parametrize("name", ["patch", "one_pixel", "rotation", "cw"])
def test_an_attack_of_another_norm_is_a_fault_of_the_scenario(name: str):
    with pytest.raises(
        ScenarioError, match=f'key "attack": attack "{name}" .*serves linf; .*use one of: apgd'
    ) as error:
        make_plan(("adversarial",), (f"adversarial.attack={name}",))
    assert "\n" not in str(error.value)
