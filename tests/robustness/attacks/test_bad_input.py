"""Bad input. Oracle: planted faults, each refused in one line that says what would work."""

import pytest
import torch

from robustness.attacks import PGD, Fooling, Patch
from robustness.attacks.contract import AttackError
from robustness.attacks.enforcer import check_points, run_attack
from robustness.attacks.head_checks import HeadError
from robustness.attacks.heads import SigmoidHead, SoftmaxHead
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.setups import Changed, Linear, inner_images, predicted

SOME = PGD()
SMALL = ThreatModel(eps=0.1)
TWO = SoftmaxHead(num_classes=2)
BOTH = torch.tensor([0, 1, 0, 1])
RIGHT = predicted(Linear(2), inner_images(4))


def _bad(message, *, model=None, images=None, labels=BOTH, threat=SMALL, head=TWO, attack=SOME):
    model = Linear(2) if model is None else model
    images = inner_images(4) if images is None else images
    return model, images, labels, threat, head, attack, message


BAD = {
    "half": _bad("bfloat16", model=Linear(2).half()),
    "double images": _bad(r"images: .*images\.float\(\)", images=inner_images(4).double()),
    "numpy": _bad("square.*numpy", model=Changed(Linear(2), lambda inner, x: inner(torch.from_numpy(x.numpy())))),
    "range": _bad("z_scored", images=3 * inner_images(4)),
    "integers": _bad("float image", images=torch.zeros(4, 1, 4, 4, dtype=torch.uint8)),
    "labels": _bad(r"shape \(3,\)", labels=torch.zeros(3)),
    "class": _bad("got 2 in row 2", labels=torch.tensor([0, 1, 2, 0])),
    "head": _bad("One logit", head=SigmoidHead()),
    "norm": _bad("one_pixel", threat=ThreatModel(norm="l0", eps=1.0)),
    "rounding": _bad("square", model=Changed(Linear(2), lambda inner, x: inner((x.detach() * 8).round() / 8))),
    "nan": _bad("finite", model=Changed(Linear(2), lambda inner, x: inner(x) / 0)),
    "infinite": _bad("finite eps", threat=ThreatModel(eps=float("inf"))),
    "shift": _bad("segmentation", threat=ThreatModel(eps=0.1, goal="shift")),
    "finding": _bad(
        "set target", model=Linear(3), threat=ThreatModel(eps=0.1, goal="hide"), head=SoftmaxHead(num_classes=3)
    ),
    "noise near an image": _bad("infinite eps", attack=Fooling(), labels=RIGHT),
    "less than a pixel": _bad(
        "at least one pixel, 0.062", attack=Patch(), labels=RIGHT, threat=ThreatModel(norm="patch", eps=0.06)
    ),
    "channels": _bad("per channel", threat=ThreatModel(eps=0.1, low=(0.0, 0.0, 0.0))),
}


def test_inference_mode_is_named_and_not_the_model() -> None:
    with torch.inference_mode(), pytest.raises(AttackError, match="inference_mode"):
        run_attack(Linear(2), inner_images(4), BOTH, attack=PGD(), threat=SMALL, head=TWO)


def test_a_model_that_fails_with_and_without_gradients_says_so_itself() -> None:
    wrong = Linear(2, shape=(1, 5, 5))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        run_attack(wrong, inner_images(4), BOTH, attack=PGD(), threat=SMALL, head=TWO)


@pytest.mark.parametrize("case", BAD)
def test_a_fault_is_one_line_that_says_what_would_work(case):
    model, images, labels, threat, head, attack, message = BAD[case]
    with pytest.raises((AttackError, HeadError), match=message) as caught:
        run_attack(model, images, labels, attack=attack, threat=threat, head=head)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


def test_points_of_others_cannot_be_judged_by_how_far_pixels_moved():
    images = inner_images(4)
    with pytest.raises(AttackError, match="got spatial") as caught:
        check_points(Linear(2), images, images, BOTH, threat=ThreatModel(norm="spatial", eps=0.0), head=TWO)
    assert "\n" not in str(caught.value)
