"""The audit section on adversarial images. Oracle: models whose worst case is known in closed form.

A model that compares the mean grey level (or a pixel's own) with 127.5 is fooled within eps grey levels exactly where
the mean (the pixel) lies less than eps from 127.5. Planted faults: a model without gradients, one that says the same of
every image, one that draws random numbers.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.audit.plan import in_every_section, make_plan
from medfed.audit.verdicts import clopper_pearson
from medfed.config import parse_scenario
from medfed.data.dataset import Dataset
from medfed.data.table import Record
from medfed.errors import ScenarioError
from medfed.report.load import RunData
from medfed.results import Summary
from robustness.adversarial import Adversarial, _attacked
from robustness.adversarial_scores import MaskOverlap
from robustness.adversarial_tables import not_tested, tried
from robustness.adversarial_trial import Trial
from robustness.attacks.ensemble import Ensemble
from robustness.sections import SECTIONS

SIDE = 8
NUM = 40
SCENARIO = """
name = "closed"
task = {{ kind = "{kind}", classes = ["dark", "bright"], head = "{head}" }}
data = {{ path = "none.csv", image_size = 8, partition = "natural" }}
model = "{model}"
training = {{ rounds = 1, local_epochs = 1, batch_size = 4, loss = "{loss}" }}
federation = {{ sites = ["a", "b"] }}
"""
CLASSIFICATION = SCENARIO.format(kind="classification", head="softmax", model="small_cnn", loss="cross_entropy")
SEGMENTATION = SCENARIO.format(kind="segmentation", head="sigmoid", model="unet", loss="dice")
QUICK = {"steps": 10, "queries": 2, "blind_queries": 2, "curve": (2.0, 4.0)}


class MeanLevel(nn.Module):
    """Two logits whose difference is the mean grey level minus a boundary."""

    def __init__(self, boundary: float = 127.5) -> None:
        super().__init__()
        self.boundary = boundary

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        level = 255.0 * images.flatten(1).mean(dim=1) - self.boundary
        return torch.stack([-level / 2, level / 2], dim=1)


class Stairs(MeanLevel):
    """The same of an image whose pixels are rounded: no gradient."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images + (torch.round(images * 255) / 255 - images).detach() - images + images.detach())


class Constant(nn.Module):
    """Says "bright" of every image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.0, 1.0]) + 0.0 * images.flatten(1).sum(dim=1, keepdim=True)


class Wavering(MeanLevel):
    """Draws random numbers in evaluation mode too."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) + 0.01 * torch.rand(len(images), 2)


class PixelLevel(nn.Module):
    """One logit per pixel: its grey level minus 127.5."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 255.0 * images - 127.5


class NotANumber(nn.Module):
    """Broken."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :2] * torch.nan


def _context(text: str, module: nn.Module, images: np.ndarray, targets: np.ndarray) -> AuditContext:
    scenario = parse_scenario(text)
    records = tuple(Record(f"{i}.png", None, None, "ab"[i % 2], "test", f"p{i}", i + 1) for i in range(len(images)))
    rows = {
        site: {"train": np.arange(0), "val": np.arange(0), "test": np.arange(s, len(images), 2)}
        for s, site in enumerate("ab")
    }
    dataset = Dataset(Path("none.csv"), images, targets, records, rows, ())
    figures = {"rounds": 1, "seconds": 1.0, "bytes_up": 0, "bytes_down": 0, "sites": {}}
    summary = Summary(name="x", status="COMPLETED", task=scenario.task.kind, headline_metric="auroc", **figures)
    return AuditContext(scenario, RunData(Path(), summary), dataset, module.eval(), seed=1)


def _films(module: nn.Module) -> AuditContext:
    """Forty flat images: 0.5, 1.5, ... 19.5 grey levels above and below 127.5."""
    distance = np.repeat(np.arange(NUM // 2), 2)
    labels = np.arange(NUM) % 2
    levels = np.where(labels == 1, 128 + distance, 127 - distance).astype(np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (NUM, 1, SIDE, SIDE)).copy()
    return _context(CLASSIFICATION, module, images, labels.astype(np.int64))


def _masks(module: nn.Module) -> AuditContext:
    """Masks of half of the image, whose pixels lie 0.5, 1.5, ... 31.5 grey levels above 127.5; the rest is dark."""
    image = np.concatenate([128 + np.arange(32), np.full(32, 20)]).reshape(1, 1, SIDE, SIDE)
    images = np.repeat(image, 8, axis=0).astype(np.uint8)
    return _context(SEGMENTATION, module, images, (images[:, 0] > 127).astype(np.uint8))


def _cells(result, column: int) -> list[float]:
    return [row[column].value for row in result.tables[0].rows]


def test_robust_accuracy_is_that_of_the_closed_form():
    result = Adversarial(**QUICK)(_films(MeanLevel()))
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
    result = Adversarial(**QUICK, min_robust_accuracy=threshold)(_films(MeanLevel()))
    assert result.verdict == verdict


def test_the_eps_of_the_verdict_is_the_stated_one():
    result = Adversarial(**QUICK, eps_grey_levels=16.0)(_films(MeanLevel()))
    assert result.findings[0].estimate.value == 0.2


def test_an_attack_too_weak_for_its_control_never_passes():
    result = Adversarial(**QUICK, control_eps_grey_levels=4.0, min_robust_accuracy=0.1)(_films(MeanLevel()))
    assert [finding.verdict for finding in result.findings] == ["PASS"] * 3
    assert not result.positive_control.holds
    assert result.verdict == "INCONCLUSIVE"


def test_what_is_wrong_without_an_attack_is_not_the_attack_s_work():
    """It says "bright" of every image, rightly of half of them, and 8 grey levels reach none of these."""
    result = Adversarial(**QUICK)(_films(MeanLevel(boundary=60.0)))
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
        Adversarial(**QUICK)(_films(Wrong()))


@pytest.mark.parametrize(("threshold", "decided"), [(0.55, True), (0.7, False)])
def test_masks_that_miss_the_threshold_without_an_attack_are_no_finding_on_the_attack(threshold: float, decided: bool):
    context = _masks(PixelLevel())
    trial = Trial(context, context.draw_tests(8, "x"), MaskOverlap())
    found = _attacked(trial, np.full(8, 0.2), np.full(8, 0.6), threshold)
    assert (found.value, found.low is not None) == (pytest.approx(0.2), decided)


def test_what_ran_is_named_and_what_did_not():
    context = _films(MeanLevel())
    weak = Adversarial(**QUICK, attack="fgsm", images=8)(context)
    assert 'by the attack "fgsm"' in weak.tried
    (reason,) = [reason for reason in weak.not_tested if "stronger" in reason]
    assert reason.startswith('the section\'s own attack, "ensemble", in whose place "fgsm" ran')
    assert 'by the attack "ensemble"' in tried(8, 8.0, Ensemble())
    table = weak.tables[1]
    assert not any("stronger" in reason for reason in not_tested(table, Ensemble(), Ensemble()))
    assert any("stronger" in reason for reason in not_tested(table, Ensemble(steps=1), Ensemble()))


@pytest.mark.parametrize("module", [Stairs(), Constant(), Wavering()])
def test_planted_models_are_invalid(module: nn.Module):
    assert Adversarial(**QUICK)(_films(module)).verdict == "INVALID"


def test_worst_case_dice_is_that_of_the_closed_form():
    result = Adversarial(curve=(2.0, 4.0), segmentation_steps=10)(_masks(PixelLevel()))
    lost = {0: 0, 2: 2, 4: 4, 8: 8}
    expected = [2 * (32 - n) / (32 - n + 32) for n in lost.values()]
    assert _cells(result, 1) == pytest.approx(expected, abs=1e-6)
    assert result.positive_control.holds
    assert result.findings[0].kind == "mean"


def test_the_same_seed_gives_the_same_result_and_the_model_stays_as_it_was():
    context = _films(MeanLevel())
    assert Adversarial(**QUICK)(context) == Adversarial(**QUICK)(context)
    assert not context.model.training


def test_a_model_that_no_attack_can_serve_is_not_tested():
    with pytest.raises(NotTestedError, match="no attack can serve this model"):
        Adversarial(**QUICK)(_films(NotANumber()))


def test_the_number_of_images_is_bounded():
    result = Adversarial(**QUICK, images=10)(_films(MeanLevel()))
    assert result.findings[0].estimate.n == 10


def test_another_attack_takes_the_place_of_the_section_s_own_and_a_weak_one_is_invalid():
    """One step of a thousandth of eps fools nobody: 20 steps of PGD, among the checks, do."""
    strong = Adversarial(**QUICK, attack={"name": "apgd", "steps": 10})(_films(MeanLevel()))
    assert strong.findings[0].estimate.value == 0.6
    assert strong.verdict != "INVALID"
    assert (
        Adversarial(**QUICK, attack={"name": "pgd", "steps": 1, "step": 1e-3})(_films(MeanLevel())).verdict == "INVALID"
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


def test_the_table_has_the_section():
    assert SECTIONS["adversarial"] is Adversarial
