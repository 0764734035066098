"""The audit section on gradient inversion. Oracles: an attack that has every image and must succeed on single images,
one that looks at noise and cannot; leaks planted by hand; exact intervals; the rules of verdicts."""

from pathlib import Path
from typing import Any

import pytest
import torch

from medfed.audit.contract import NotTestedError
from medfed.audit.costs import FLOPS, GRADIENT, pass_seconds
from medfed.audit.plan import build_section, settings
from medfed.audit.results import SectionResult
from medfed.audit.tables import costs
from medfed.audit.verdicts import clopper_pearson
from medfed.params import load_metadata, load_weights, save_weights
from medfed.registry import table
from privacy.inversion.inverting_gradients import InvertingGradients
from privacy.leakage.campaign import attack_messages, control_trials
from privacy.leakage.costs import DESCENT, DOUBLE_BACKWARD, EVALUATION
from privacy.leakage.same_setting import ITSELF
from privacy.leakage.section import GradientInversion
from tests.privacy.leakage.attackers import Blind, Dictionary
from tests.privacy.leakage.recorded_run import (
    LOOSE,
    NOISED,
    NORMED,
    SITES,
    recorded_run,
    scenario_of,
)


def measure(folder: Path, fields: dict[str, Any], **changes: Any) -> SectionResult:
    context = recorded_run(folder, scenario_of(**changes), rounds=(1,))
    return GradientInversion(**{"control_images": 2, "decoys": 20} | fields)(context)


def test_single_images_are_rebuilt_and_named_and_the_section_fails(tmp_path: Path) -> None:
    result = measure(tmp_path, {"inversion": Dictionary()})
    told, rebuilt = result.findings
    low, high = clopper_pearson(2, 2)
    for finding in (told, rebuilt):
        assert (finding.estimate.value, finding.estimate.n) == (1.0, 2)
        assert (finding.estimate.low, finding.estimate.high) == (pytest.approx(low), pytest.approx(high))
    assert "21 people" in told.what
    assert result.positive_control.holds
    assert result.positive_control.observed == pytest.approx(100.0)
    assert result.verdict == "FAIL"
    assert [len(t.rows) for t in result.tables] == [2, 2, 2, 8]
    assert [row[3] for row in result.tables[2].rows] == [ITSELF] * 2
    assert [(s.site, s.value) for s in result.samples] == [("a", pytest.approx(100.0)), ("b", pytest.approx(100.0))]


def test_an_attack_that_is_too_weak_never_passes(tmp_path: Path) -> None:
    """Thresholds that would be met, by an attack that finds nothing, are open all the same."""
    result = measure(tmp_path, {"inversion": Blind(), **LOOSE})
    assert {finding.verdict for finding in result.findings} == {"INCONCLUSIVE"}
    assert not result.positive_control.holds
    assert result.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize("suffices", [True, False])
def test_naming_may_stand_for_the_psnr_and_then_images_are_not_judged(tmp_path: Path, suffices: bool) -> None:
    """An attack that is right but for the contrast, which names do not see and PSNR does."""
    fields = {"inversion": Dictionary(contrast=0.5), "naming_suffices": suffices, "max_rebuilt": 0.99}
    result = measure(tmp_path, fields, model={"name": "tests.privacy.leakage.attackers:Flat"})
    assert result.findings[0].estimate.value == 1.0
    assert result.positive_control.holds is suffices
    assert [finding.what.split()[0] for finding in result.findings] == ["Patients", "Images"][: 1 if suffices else 2]
    assert suffices == any("did not reach its PSNR" in said for said in result.not_tested)


def test_naming_that_could_be_luck_does_not_stand_for_the_psnr(tmp_path: Path) -> None:
    """One patient of a line-up of six is named by a guess once in six times."""
    fields = {"inversion": Dictionary(contrast=0.5), "control_images": 1, "decoys": 5}
    result = measure(tmp_path, fields, model={"name": "tests.privacy.leakage.attackers:Flat"})
    assert result.positive_control.metric == "median PSNR in dB"
    assert not result.positive_control.holds


def test_a_control_that_was_cut_short_is_no_control(tmp_path: Path) -> None:
    """Asked after every evaluation: of three controls of one each the second is cut, and the third not begun."""
    context = recorded_run(tmp_path, scenario_of(), rounds=(1,))
    bounds = GradientInversion(control_images=3, decoys=20).bounds
    messages = attack_messages(context, bounds, Blind(), 2)
    answers = iter((False, True))
    found = control_trials(context, bounds, Blind(), messages, stop=lambda: next(answers))
    assert len(found) == 1
    assert len(control_trials(context, bounds, Blind(), messages)) == 2


@pytest.mark.parametrize(
    ("slots", "told"), [(8, "yes"), (2, "of 0 of 2 updates; of no use where only a part is looked for")]
)
def test_the_table_says_which_labels_were_of_use(tmp_path: Path, slots: int, told: str) -> None:
    """As it was, whatever was asked for; and what the attack does not model."""
    changes = {"training.local_steps": 6, "federation.compression": "float16", "training.transforms": ("affine",)}
    result = measure(tmp_path, {"inversion": Blind(), "control_images": 1, "slots": slots, "labels": True}, **changes)
    *_, threat = result.tables
    granted = {row[0]: row[1] for row in threat.rows}
    assert granted["Knows the classes or masks"] == told
    assert granted["Knows how many images of each class a site holds"] == "yes"
    assert granted["Attack"] == "tests.privacy.leakage.attackers:Blind"
    assert granted["Does not model"].startswith('compression "float16"')
    assert any("nobody knows whose" in said for said in result.not_tested) is (slots == 2)


def test_statistics_of_one_step_are_flagged(tmp_path: Path) -> None:
    result = measure(tmp_path, {"inversion": Blind(), "control_images": 1, **LOOSE}, **NORMED)
    *_, finding = result.findings
    assert (finding.estimate.value, finding.verdict) == (1.0, "FAIL")
    assert "BatchNorm" in finding.what
    errors = [float(row[-1]) for row in result.tables[3].rows]
    assert max(errors) < 1e-4
    assert result.verdict == "FAIL"


def test_the_table_says_what_the_default_attack_came_to(tmp_path: Path) -> None:
    """Two images are too many for row_space."""
    fields = {"max_iterations": 1, "control_images": 1, "updates": 1}
    result = measure(tmp_path, fields, **{"training.batch_size": 2})
    said = "row_space, which is inverting_gradients on 1 of 1 updates and on the control"
    assert result.tables[-1].rows[0] == ("Attack", said)


@pytest.mark.parametrize("planted", [True, False])
def test_statistics_beside_noise_are_flagged(tmp_path: Path, planted: bool) -> None:
    """A site that noises sends no statistics; here some are planted, or not."""
    context = recorded_run(tmp_path, scenario_of(**NOISED | NORMED | {"training.local_steps": 2}), rounds=(1,))
    for site in SITES:
        path = tmp_path / "recorded" / "1" / f"{site}.safetensors"
        sent = {n: v if planted or "running_" not in n else 0 * v for n, v in load_weights(path).items()}
        save_weights(path, sent, load_metadata(path))
    result = GradientInversion(inversion=Blind(), control_images=1, decoys=20, **LOOSE)(context)
    *_, finding = result.findings
    assert "have no noise" in finding.what
    assert (finding.estimate.value > 0, finding.verdict) == (planted, "FAIL" if planted else "PASS")
    named = [table for table in result.tables if table.title == "What has no noise in a noised update"]
    assert bool(named) is planted
    if planted:
        assert result.verdict == "FAIL"
        assert all("running_mean" in str(row[-1]) for row in named[0].rows)


def test_an_entry_that_was_not_masked_is_flagged(tmp_path: Path) -> None:
    """Secure aggregation that forgets the running statistics; and one that masks all of an update."""
    context = recorded_run(tmp_path, scenario_of(**NORMED), rounds=(1,))
    for site in SITES:
        path = tmp_path / "recorded" / "1" / f"{site}.safetensors"
        masked = {n: v if "running_" in n else v.to(torch.int32) for n, v in load_weights(path).items()}
        save_weights(path, masked, load_metadata(path))
    result = GradientInversion(inversion=Blind())(context)
    (finding,) = result.findings
    assert (finding.verdict, result.verdict) == ("FAIL", "FAIL")
    assert "running_mean" in finding.what
    for site in SITES:
        path = tmp_path / "recorded" / "1" / f"{site}.safetensors"
        save_weights(path, {n: v.to(torch.int32) for n, v in load_weights(path).items()}, load_metadata(path))
    with pytest.raises(NotTestedError, match="is masked"):
        GradientInversion(inversion=Blind())(context)


def test_who_was_not_looked_for_is_not_cleared(tmp_path: Path) -> None:
    """An attack that its control shows to be strong, on updates of which it looks for two images of many."""
    changes = {"training.local_steps": 6}
    result = measure(tmp_path, {"inversion": Dictionary(), "slots": 2, **LOOSE}, **changes)
    assert result.positive_control.holds
    assert {finding.verdict for finding in result.findings} == {"INCONCLUSIVE"}
    assert all("only a part" in finding.what for finding in result.findings)


def test_steps_beyond_reach_are_said(tmp_path: Path) -> None:
    changes = {"training.local_steps": 6}
    result = measure(tmp_path, {"inversion": Blind(), "control_images": 1, "slots": 2, "updates": 1}, **changes)
    assert result.not_tested[0].startswith("whether 1 of the 1 updates give more")
    assert result.tables[0].rows[0][1:5] == (6, 6, 2, 6)


def test_forged_updates_are_left_alone(tmp_path: Path) -> None:
    changes = {"adversary": {"sites": ("a",)}}
    result = measure(tmp_path, {"inversion": Blind(), "control_images": 1}, **changes)
    assert [row[0] for row in result.tables[0].rows] == ["1, b"]


def test_what_cannot_be_attacked_is_not_tested(tmp_path: Path) -> None:
    context = recorded_run(tmp_path, scenario_of(), rounds=())
    with pytest.raises(NotTestedError, match=r"record\.rounds"):
        GradientInversion()(context)
    context = recorded_run(tmp_path, scenario_of(), rounds=(1,))
    for site in SITES:
        path = tmp_path / "recorded" / "1" / f"{site}.safetensors"
        save_weights(path, load_weights(path), load_metadata(path) | {"masked": True})
    with pytest.raises(NotTestedError, match="is masked"):
        GradientInversion(inversion=Blind())(context)


def test_the_same_seed_gives_the_same_result(tmp_path: Path) -> None:
    fields = {"inversion": Blind(), "control_images": 1}
    first, second = (measure(tmp_path / name, fields) for name in ("one", "two"))
    assert first.model_dump() == second.model_dump()


def test_a_budget_makes_it_cheaper_and_nothing_recorded_costs_nothing(tmp_path: Path) -> None:
    """By hand: iterations x (steps of updates and controls, and images x passes); every next setting costs less."""
    wide = {"model.width": 8}
    context = recorded_run(tmp_path, scenario_of(**wide, **{"training.local_steps": 6}), rounds=(1,))
    cost, one = costs()["gradient_inversion"], pass_seconds(context)
    for slots, steps, images in ((4, 1, 4), (6, 6, 6)):
        plain = GradientInversion(updates=2, slots=slots, control_images=3, max_iterations=10)
        by_hand = 10 * ((2 * steps + 3) * EVALUATION + (2 * images + 3) * DOUBLE_BACKWARD * one)
        assert cost.seconds(plain, context) == pytest.approx(by_hand)
    noised = recorded_run(tmp_path / "noised", scenario_of(**NOISED, **wide, **{"training.local_steps": 6}), rounds=())
    by_hand = 10 * ((4 * 6 + 3) * EVALUATION + (4 * 6 + 3) * DOUBLE_BACKWARD * one)
    assert cost.seconds(plain, noised) == pytest.approx(by_hand)
    made = [GradientInversion(), *(GradientInversion(**cheaper) for cheaper in cost.cheaper)]
    seconds = [cost.seconds(section, context) for section in made]
    assert seconds == sorted(seconds, reverse=True)
    single = recorded_run(tmp_path / "single", scenario_of(**wide), rounds=())
    read, descended = (GradientInversion(slots=8, inversion=name) for name in (None, InvertingGradients()))
    layer = (16 * 3 * 3) ** 3 / FLOPS  # the first with no more positions (3 x 3) than outputs (32)
    by_hand = 5 * (layer + 600 * (DESCENT + GRADIENT * one) + 30 * (EVALUATION + DOUBLE_BACKWARD * one))
    assert cost.seconds(read, single) == pytest.approx(by_hand)
    assert cost.seconds(descended, single) == pytest.approx(5 * 500 * (EVALUATION + DOUBLE_BACKWARD * one))
    assert cost.seconds(plain, recorded_run(tmp_path / "none", scenario_of(record={"rounds": ()}), rounds=())) == 0.0


def test_it_is_a_section_like_others() -> None:
    assert table("audit_section")["gradient_inversion"] is GradientInversion
    made = build_section("gradient_inversion", {"inversion": "inverting_gradients", "max_named": 0.2})
    assert settings("gradient_inversion", made)["inversion"]["name"] == "inverting_gradients"
