"""Units, distances and heads. Oracles: by hand, exact fractions, the law that a projection is inside its ball."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from medfed import registry
from robustness.attacks.criteria import DiceBelow, WrongDecisions, objective_for
from robustness.attacks.heads import DenseSigmoidHead, DenseSoftmaxHead, MultiLabelHead, SigmoidHead, SoftmaxHead
from robustness.attacks.losses import cross_entropy, dlr, margin
from robustness.attacks.objective import Objective
from robustness.attacks.projection import Bounds, allowed, distance, project, random_points
from robustness.attacks.threat import ThreatModel


def test_units_convert_exactly():
    images = torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    grey = Bounds.of(ThreatModel.grey_levels(8), images)
    deep = Bounds.of(ThreatModel.grey_levels(100, bits=16), images)
    tissue = Bounds.of(ThreatModel.hounsfield(20, (-1000.0, 400.0)), images)
    scored = Bounds.of(ThreatModel.grey_levels(8).z_scored((0.5, 0.4), (0.25, 0.2)), images)
    assert grey.step.item() == 8 / 255
    assert deep.step.item() == 100 / 65535
    assert tissue.step.item() == 20 / 1400
    assert scored.step.flatten().tolist() == pytest.approx([8 / 255 / 0.25, 8 / 255 / 0.2], rel=1e-15)
    assert scored.low.flatten().tolist() == pytest.approx([-2.0, -2.0])
    assert scored.high.flatten().tolist() == pytest.approx([2.0, 3.0])


@given(mean=some.floats(0.0, 1.0), std=some.floats(0.01, 1.0))
def test_a_z_score_leaves_the_width_of_the_range_and_an_eps_as_wide_as_it(mean, std):
    whole = ThreatModel.grey_levels(255).z_scored(mean, std)
    assert whole.width == pytest.approx(255, rel=1e-9)
    assert whole.replace(eps=whole.width).eps == whole.width
    with pytest.raises(ValueError, match="width of the range"):
        whole.replace(eps=255.01)


def test_the_width_is_that_of_the_widest_channel_in_units_of_eps():
    assert ThreatModel(eps=0.1, low=(0.0, -1.0), high=1.0, per_unit=(3.0, 2.0)).width == 4.0
    assert ThreatModel.hounsfield(20, (-1000.0, 400.0)).width == 1400.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"eps": 8.0}, "units of the input"),
        ({"eps": -0.1}, "0 or more"),
        ({"eps": float("nan")}, "0 or more"),
        ({"eps": 0.1, "low": 1.0, "high": 0.0}, "high expected above low"),
        ({"eps": 0.1, "goal": "targeted"}, "set target"),
        ({"eps": 0.1, "target": 1}, "does not fit"),
        ({"eps": 1.5, "norm": "patch"}, "share of the area"),
        ({"eps": 1.5, "norm": "l0"}, "number of positions"),
        ({"eps": 0.1, "low": (0.0, 0.0), "high": (1.0, 1.0, 1.0)}, "as many channels"),
    ],
)
def test_a_threat_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ThreatModel(**fields)


def test_distances_by_hand():
    images = torch.zeros(1, 2, 4, 5)
    points = images.clone()
    points[0, 0, 1, 1], points[0, 1, 1, 1], points[0, 0, 2, 3] = 0.3, 0.4, 0.5
    found = {
        norm: float(
            distance(points, images, Bounds.of(ThreatModel(norm=norm, eps=0.1 if norm != "l0" else 1.0), images))
        )
        for norm in ("linf", "l2", "l0", "patch")
    }
    assert found["linf"] == pytest.approx(0.5)
    assert found["l2"] == pytest.approx(math.sqrt(0.09 + 0.16 + 0.25))
    assert found["l0"] == 2
    assert found["patch"] == pytest.approx(2 * 3 / 20)


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.2), ("l2", 0.7), ("l0", 3.0)])
@pytest.mark.parametrize("space", [(6, 5), (3, 4, 5)])
def test_projections_end_inside_and_leave_inner_points_alone(norm, eps, space):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((8, 2, *space), generator=generator)
    bounds = Bounds.of(ThreatModel(norm=norm, eps=eps), images)
    far = images + 3 * torch.randn(images.shape, generator=generator)
    near = project(far, images, bounds)
    assert not bool(allowed(far, images, bounds).any())
    assert bool(allowed(near, images, bounds).all())
    assert torch.allclose(project(near, images, bounds), near, atol=1e-6)
    start = random_points(images, bounds, generator)
    assert bool(allowed(start, images, bounds).all())
    assert bool((start != images).flatten(1).any(dim=1).all())


def _objective(head, labels, output, images, criterion=None, **threat):
    scores = head.scores(output)
    threat_model = ThreatModel(eps=0.1, **threat)
    return scores, objective_for(head, criterion or WrongDecisions(), threat_model, labels, images, scores)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bool])
def test_one_sigmoid_by_hand(shape, dtype):
    """z = 2 with label 1 has margin -2, cross-entropy log(1 + e^-2); the scale makes both relative to mean |z|."""
    output, images = torch.tensor([[2.0], [-1.0], [3.0]]), torch.zeros(3, 1, 4, 4)
    labels = torch.tensor([1, 0, 0]).reshape(shape).to(dtype)
    scores, objective = _objective(SigmoidHead(), labels, output, images)
    assert torch.allclose(objective.scale, torch.tensor([2.0, 2.0, 3.0]) / 10)
    assert torch.allclose(margin(scores, objective), torch.tensor([-10.0, -5.0, 10.0]))
    assert torch.equal(dlr(scores, objective), margin(scores, objective))
    expected = torch.log1p(torch.exp(torch.tensor([-10.0, -5.0, 10.0])))
    assert torch.allclose(cross_entropy(scores, objective), expected, rtol=1e-4, atol=1e-6)
    assert WrongDecisions().success(scores, objective).tolist() == [False, False, True]


def test_dlr_by_hand():
    """Four classes, label 0: -(4 - 3) / (4 - 2) = -.5; towards class 3: (1 - 4) / (4 - (2 + 1) / 2) = -1.2."""
    output, images = torch.tensor([[4.0, 3.0, 2.0, 1.0]]), torch.zeros(1, 1, 4, 4)
    scores, objective = _objective(SoftmaxHead(num_classes=4), torch.tensor([0]), output, images)
    assert float(dlr(scores, objective)) == pytest.approx(-0.5)
    assert float(dlr(scores, objective.towards(torch.tensor([3])))) == pytest.approx(-1.2)


def test_findings_that_nobody_knows_do_not_count():
    output, images = torch.tensor([[1.0, -2.0, -3.0]]), torch.zeros(1, 1, 4, 4)
    scores, objective = _objective(MultiLabelHead(num_findings=3), torch.tensor([[-1, 0, 1]]), output, images)
    assert objective.active.tolist() == [[False, True, True]]
    assert WrongDecisions().success(scores, objective).tolist() == [True]
    scores, objective = _objective(MultiLabelHead(num_findings=3), torch.tensor([[-1, 0, 0]]), output, images)
    assert WrongDecisions().success(scores, objective).tolist() == [False]


@pytest.mark.parametrize("channel", [False, True])
def test_dice_by_hand(channel):
    """Truth 3 pixels, predicted 2, both 2: Dice 4 / 5, whichever head says it."""
    truth = torch.tensor([[[1, 1], [1, 0]]])
    output = torch.tensor([[[[2.0, 2.0], [-2.0, -2.0]]]])
    labels, images = truth[:, None] if channel else truth, torch.zeros(1, 1, 2, 2)
    scores, objective = _objective(DenseSigmoidHead(), labels, output, images, DiceBelow())
    assert float(DiceBelow().dice(scores, objective)) == pytest.approx(0.8)
    both = torch.cat([-output, output], dim=1)
    scores, objective = _objective(DenseSoftmaxHead(num_classes=2), labels, both, images, DiceBelow())
    assert float(DiceBelow(finding=1).dice(scores, objective)) == pytest.approx(0.8)


def test_dice_of_several_findings():
    output = torch.tensor([1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0]).reshape(1, 2, 2, 2)
    labels = torch.tensor([1, 1, 0, 0, 0, 0, 0, 1]).reshape(1, 2, 2, 2)
    head, images = DenseSigmoidHead(num_findings=2), torch.zeros(1, 1, 2, 2)
    scores, objective = _objective(head, labels, output, images, DiceBelow())
    assert float(DiceBelow().dice(scores, objective)) == pytest.approx(0.5)
    assert float(DiceBelow(finding=0).dice(scores, objective)) == 1
    assert float(DiceBelow(finding=1).dice(scores, objective)) == 0


def test_a_boundary_is_shifted_only_near_it():
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    labels[:, 6:10, 6:10] = 1
    output, images = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    _, objective = _objective(DenseSigmoidHead(), labels, output, images, DiceBelow(), goal="shift")
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[3:13, 3:13] = True
    assert torch.equal(objective.active.reshape(16, 16), expected)


def test_towards_the_label_itself_stays_away_from_it():
    labels = torch.tensor([[0], [1]])
    objective = Objective(labels, torch.full_like(labels, -1), labels >= 0, torch.ones(2))
    assert objective.towards(torch.tensor([1, 1])).targets.tolist() == [[1], [-1]]


def test_every_attack_can_be_built_by_name():
    assert {"pgd", "apgd", "square", "ensemble"} <= set(registry.table("attack"))
    for name in registry.table("attack"):
        attack = registry.build("attack", {"name": name})
        assert attack.norms
        assert all(isinstance(getattr(attack, flag), bool) for flag in ("needs_gradient", "minimises", "whole_set"))
