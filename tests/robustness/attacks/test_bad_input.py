"""Bad input. Oracle: planted faults, each refused in one line that says what would work."""

import pytest
import torch

from robustness.attacks import PGD
from robustness.attacks.contract import AttackError
from robustness.attacks.enforcer import run_attack
from robustness.attacks.head_checks import HeadError
from robustness.attacks.heads import SigmoidHead, SoftmaxHead
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.setups import Changed, Linear, inner_images

SMALL = ThreatModel(eps=0.1)
TWO = SoftmaxHead(num_classes=2)
BOTH = torch.tensor([0, 1, 0, 1])


def _bad(message, *, model=None, images=None, labels=BOTH, threat=SMALL, head=TWO):
    model = Linear(2) if model is None else model
    images = inner_images(4) if images is None else images
    return model, images, labels, threat, head, message


BAD = {
    "half": _bad("bfloat16", model=Linear(2).half()),
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
    "channels": _bad("per channel", threat=ThreatModel(eps=0.1, low=(0.0, 0.0, 0.0))),
}


@pytest.mark.parametrize("case", BAD)
def test_a_fault_is_one_line_that_says_what_would_work(case):
    model, images, labels, threat, head, message = BAD[case]
    with pytest.raises((AttackError, HeadError), match=message) as caught:
        run_attack(model, images, labels, attack=PGD(), threat=threat, head=head)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)
