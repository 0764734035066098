"""torchattacks behind the guard: what cannot be served is refused in one line. Oracle: planted misfits."""

import sys
from typing import Any

import pytest
import torch

from robustness.attacks.contract import AttackError
from robustness.attacks.heads import Head, MultiLabelHead, SigmoidHead
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.torchattacks_cases import FIVE, GREY, NUM, SIDE, Linear, films, guarded

torchattacks = pytest.importorskip("torchattacks", reason="torchattacks is not installed")


REFUSALS: list[tuple[str, Head, ThreatModel, dict[str, Any], str]] = [
    ("APGD", MultiLabelHead(num_findings=5), GREY, {}, "expected one decision per image.*makes 5; use apgd"),
    ("Square", MultiLabelHead(num_findings=5), GREY, {}, "expected one decision per image"),
    ("AutoAttack", SigmoidHead(), GREY, {}, r"expected 4 classes or more \(the targeted DLR.*got 2; use ensemble"),
    ("APGD", SigmoidHead(), GREY, {"loss": "dlr"}, r"expected 3 classes or more \(the DLR loss"),
    ("Jitter", SigmoidHead(), GREY, {}, "expected 3 classes"),
    ("PGD", FIVE, ThreatModel(norm="l2", eps=1.0), {}, "expected norm linf; got l2; use pgd"),
    ("CW", FIVE, GREY, {}, "expected norm l2; got linf"),
    ("PGD", FIVE, ThreatModel(norm="linf", eps=float("inf")), {}, "expected a finite eps"),
    ("TPGD", FIVE, ThreatModel.grey_levels(8, goal="hide", target=1), {}, "looks at no label"),
    ("APGD", FIVE, ThreatModel.grey_levels(8, goal="targeted", target=1), {}, "cannot be driven to given choices"),
    ("PGD", FIVE, GREY, {"step": 3}, "option step expected one of alpha, steps"),
    ("PGD", FIVE, GREY, {"eps": 0.3}, "option eps expected one of"),
    ("NoSuch", FIVE, GREY, {}, "expected one of FGSM, BIM"),
    ("VANILA", FIVE, GREY, {}, "it changes nothing.*use fgsm"),
    ("LGV", FIVE, GREY, {}, "trains the model"),
]


@pytest.mark.parametrize(("name", "head", "threat", "options", "reason"), REFUSALS, ids=[r[0] for r in REFUSALS])
def test_what_cannot_be_served_is_refused_in_one_line(
    name: str, head: Head, threat: ThreatModel, options: dict[str, Any], reason: str
) -> None:
    outputs = 1 if isinstance(head, SigmoidHead) else 5
    model = Linear(torch.randn((outputs, SIDE * SIDE), generator=torch.Generator().manual_seed(0)))
    images = films()
    labels = (model(images) > 0).long() if isinstance(head, MultiLabelHead) else torch.zeros(NUM)
    with pytest.raises(AttackError, match=reason) as refused:
        guarded(model, images, labels, head, name, threat=threat, options=options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["DIFGSM", "TIFGSM", "Square", "AutoAttack"])
def test_attacks_on_the_plane_are_refused_on_volumes(name: str) -> None:
    model = Linear(torch.ones(5, 64))
    with pytest.raises(AttackError, match=r"expected images .*got 3 axes in space"):
        guarded(model, films(2, 1, 4, 4, 4), torch.zeros(2), FIVE, name)


def test_channels_with_an_eps_of_their_own_are_refused() -> None:
    threat = ThreatModel(eps=0.1, low=(0.0, 0.0), high=(1.0, 2.0))
    with pytest.raises(AttackError, match=r"expected one eps for all channels; over the range they are 0.1, 0.05"):
        guarded(Linear(torch.ones(5, 32)), films(2, 2, 4, 4), torch.zeros(2), FIVE, "PGD", threat=threat)


def test_tables_of_all_pairs_of_pixels_need_memory() -> None:
    if not hasattr(torchattacks, "JSMA"):
        pytest.skip("JSMA is not in this release")
    with pytest.raises(AttackError, match="every pair of pixels"):
        guarded(
            Linear(torch.ones(5, 4096)),
            films(1, 1, 64, 64),
            torch.zeros(1),
            FIVE,
            "JSMA",
            threat=ThreatModel(norm="l0", eps=8.0),
            max_bytes=2**20,
        )


def test_without_torchattacks_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchattacks", None)
    with pytest.raises(AttackError, match=r"torchattacks cannot be imported .*without it use .*pgd") as refused:
        guarded(Linear(torch.ones(5, 64)), films(), torch.zeros(NUM), FIVE, "PGD")
    assert "\n" not in str(refused.value)
