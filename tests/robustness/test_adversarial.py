"""The audit section on adversarial images: its figures and verdicts. Oracle: models whose worst case is known in closed
form (tests/robustness/closed_form.py)."""

import numpy as np
import pytest
import torch
from torch import nn

from medfed.audit.contract import NotTestedError
from medfed.audit.verdicts import clopper_pearson
from robustness.adversarial import Adversarial, _attacked
from robustness.adversarial_scores import MaskOverlap
from robustness.adversarial_trial import Trial
from robustness.sections import SECTIONS
from tests.robustness.closed_form import NUM, QUICK, Constant, MeanLevel, PixelLevel, Stairs, Wavering, films, masks


def _cells(result, column: int) -> list[float]:
    return [row[column].value for row in result.tables[0].rows]


def test_robust_accuracy_is_that_of_the_closed_form():
    result = Adversarial(**QUICK)(films(MeanLevel()))
    finding, *of_classes = result.findings
    right = NUM * (20 - 8) // 20  # 0.5 ... 7.5 levels from the boundary are lost
    assert (finding.estimate.value, finding.estimate.n) == (right / NUM, NUM)
    assert (finding.estimate.low, finding.estimate.high) == clopper_pearson(right, NUM)
    assert [found.what for found in of_classes] == [f"{finding.what}: {name}" for name in ("dark", "bright")]
    assert [(f.estimate.value, f.estimate.n) for f in of_classes] == [(right / NUM, NUM // 2)] * 2
    assert _cells(result, 1) == [1.0, 0.9, 0.8, 0.6]  # at 0, 2, 4, 8
    assert all(noise >= left for left, noise in zip(_cells(result, 1), _cells(result, 2), strict=True))
    assert all(check.holds for check in result.checks), result.checks
    assert result.positive_control.observed == 0.0
    assert result.positive_control.holds
    assert len(result.samples) == 2 * NUM
    assert {(s.site, s.row) for s in result.samples} == {("ab"[i % 2], i + 1) for i in range(NUM)}


@pytest.mark.parametrize(("threshold", "verdict"), [(0.3, "PASS"), (0.6, "INCONCLUSIVE"), (0.85, "FAIL")])
def test_the_stated_threshold_decides(threshold: float, verdict: str):
    result = Adversarial(**QUICK, min_robust_accuracy=threshold)(films(MeanLevel()))
    assert result.verdict == verdict


def test_the_eps_of_the_verdict_is_the_stated_one():
    result = Adversarial(**QUICK, eps_grey_levels=16.0)(films(MeanLevel()))
    assert result.findings[0].estimate.value == 0.2


def test_what_is_wrong_without_an_attack_is_not_the_attack_s_work():
    """It says "bright" of every image, rightly of half of them, and 8 grey levels reach none of these."""
    result = Adversarial(**QUICK)(films(MeanLevel(boundary=60.0)))
    assert [(f.estimate.value, f.estimate.n) for f in result.findings] == [(1.0, 20), (None, 0), (1.0, 20)]
    assert [f.verdict for f in result.findings] == ["PASS", "INCONCLUSIVE", "PASS"]
    assert result.verdict == "INCONCLUSIVE"
    assert result.tables[1].rows == (("all images", 40, 20, 0), ("dark", 20, 20, 0), ("bright", 20, 0, 0))
    assert "None of the 20 images that the model reads rightly" in result.meaning
    assert "20 of 40 images are read wrongly as they are" in result.meaning
    assert result.remedy.startswith("Mend the model's own errors first")
    assert any(reason.startswith("what an attack takes of dark") for reason in result.not_tested)


def test_a_model_that_is_never_right_leaves_nothing_to_an_attack():
    class Wrong(MeanLevel):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return -super().forward(images)

    with pytest.raises(NotTestedError, match="nothing for an attack to take"):
        Adversarial(**QUICK)(films(Wrong()))


@pytest.mark.parametrize(("threshold", "decided"), [(0.55, True), (0.7, False)])
def test_masks_that_miss_the_threshold_without_an_attack_are_no_finding_on_the_attack(threshold: float, decided: bool):
    context = masks(PixelLevel())
    trial = Trial(context, context.draw_tests(8, "x"), MaskOverlap())
    found = _attacked(trial, np.full(8, 0.2), np.full(8, 0.6), threshold)
    assert (found.value, found.low is not None) == (pytest.approx(0.2), decided)


@pytest.mark.parametrize("module", [Stairs(), Constant(), Wavering()])
def test_planted_models_are_invalid(module: nn.Module):
    assert Adversarial(**QUICK)(films(module)).verdict == "INVALID"


def test_worst_case_dice_is_that_of_the_closed_form():
    result = Adversarial(curve=(2.0, 4.0), segmentation_steps=10)(masks(PixelLevel()))
    lost = {0: 0, 2: 2, 4: 4, 8: 8}
    expected = [2 * (32 - n) / (32 - n + 32) for n in lost.values()]
    assert _cells(result, 1) == pytest.approx(expected, abs=1e-6)
    assert result.positive_control.holds
    assert result.findings[0].kind == "mean"


def test_the_same_seed_gives_the_same_result_and_the_model_stays_as_it_was():
    context = films(MeanLevel())
    assert Adversarial(**QUICK)(context) == Adversarial(**QUICK)(context)
    assert not context.model.training


def test_the_number_of_images_is_bounded():
    result = Adversarial(**QUICK, images=10)(films(MeanLevel()))
    assert result.findings[0].estimate.n == 10


def test_the_table_has_the_section():
    assert SECTIONS["adversarial"] is Adversarial
