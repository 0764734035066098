"""torchattacks behind the guard: adapted exactly.

Oracles: linear models, where the best attack is known in closed form (a decision z flips iff |z| < eps ||w||_1 for
Linf, iff |z| < eps ||w||_2 for L2).
"""

import pytest
import torch
from torch import nn

from robustness.attacks.criteria import WrongDecisions
from robustness.attacks.heads import DenseSigmoidHead, DenseSoftmaxHead, Head, MultiLabelHead, SigmoidHead, SoftmaxHead
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.torchattacks_cases import (
    EPS,
    GREY,
    NUM,
    SIDE,
    Linear,
    PerPixel,
    Standardised,
    binary,
    films,
    guarded,
)

torchattacks = pytest.importorskip("torchattacks", reason="torchattacks is not installed")


@pytest.mark.parametrize("name", ["FGSM", "BIM", "PGD", "MIFGSM", "EOTPGD", "UPGD", "NIFGSM", "APGD", "FAB", "VMIFGSM"])
@pytest.mark.parametrize("form", ["long", "column", "float", "bool"])
def test_one_sigmoid_is_attacked_as_well_as_can_be_whatever_the_form_of_its_labels(name: str, form: str) -> None:
    images = films()
    model, labels, best = binary(images, 1, EPS)
    shown = {"long": labels, "column": labels[:, None], "float": labels[:, None].float(), "bool": labels.bool()}[form]
    found = guarded(model, images, shown, SigmoidHead(), name)
    torch.testing.assert_close(found.success, best, rtol=0, atol=0)
    assert float(found.distances[best].max()) <= 8 * (1 + 1e-5)


@pytest.mark.parametrize("name", ["PGD", "BIM", "DIFGSM", "TIFGSM", "SPSA", "Square", "PGDRS"])
def test_what_random_steps_find_is_never_more_than_the_best_attack(name: str) -> None:
    if not hasattr(torchattacks, name):
        pytest.skip(f"{name} is not in this release")
    images = films()
    model, labels, best = binary(images, 1, EPS)
    options = {"n_queries": 50} if name == "Square" else {}
    found = guarded(model, images, labels, SigmoidHead(), name, options=options)
    assert not bool((found.success & ~best).any())


def test_findings_that_look_at_different_pixels_are_all_attacked_those_of_empty_films_too() -> None:
    images, eps = films(NUM, 1, 2, 8), EPS
    weight = torch.zeros(4, 16)
    for finding in range(4):
        weight[finding, 4 * finding : 4 * finding + 4] = torch.tensor([1.0, -1.0, 1.0, -1.0]) / 4
    model = Linear(weight, -0.02)
    logits = model(images)
    labels = (logits > 0).float()
    labels[:, 3] = -1  # unknown: not attacked, not counted
    best = (logits.abs() < eps)[:, :3]
    found = guarded(model, images, labels, MultiLabelHead(num_findings=4), "PGD", criterion=WrongDecisions(share=1.0))
    torch.testing.assert_close(found.damage, best.float().mean(dim=1))
    assert bool((labels[:, :3] == 0).all(dim=1).any()), "the set needs a film without findings"


@pytest.mark.parametrize(
    ("channels", "head"), [(1, DenseSigmoidHead()), (2, DenseSoftmaxHead(num_classes=2))], ids=["sigmoid", "softmax"]
)
@pytest.mark.parametrize("axis", [True, False], ids=["(N,1,H,W)", "(N,H,W)"])
def test_a_mask_flips_where_its_pixels_can(channels: int, head: Head, axis: bool) -> None:
    images = films()
    mask = (images > 0.5).float()
    best = ((images - 0.5).abs() < EPS).flatten(1).float().mean(dim=1)
    found = guarded(
        PerPixel(channels), images, mask if axis else mask[:, 0], head, "PGD", criterion=WrongDecisions(share=1.0)
    )
    torch.testing.assert_close(found.damage, best)


def test_a_z_scored_model_is_attacked_in_the_units_of_the_film() -> None:
    images, mean, std = films(), 0.4, 0.2
    model, labels, best = binary(images, 1, EPS)
    shown = Standardised(model, mean, std)
    threat = GREY.z_scored(mean, std)
    found = guarded(shown, (images - mean) / std, labels, SigmoidHead(), "PGD", threat=threat)
    torch.testing.assert_close(found.success, best, rtol=0, atol=0)
    assert float((found.adversarial - (images - mean) / std).abs().max()) * std * 255 <= 8 * (1 + 1e-4)


@pytest.mark.parametrize("name", ["PGDL2", "APGD"])
def test_volumes_are_attacked_in_l2(name: str) -> None:
    images = films(NUM, 1, 4, 4, 4)
    model, labels, best = binary(images, 2, 0.1)
    options = {"steps": 40} if name == "APGD" else {}
    found = guarded(model, images, labels, SigmoidHead(), name, threat=ThreatModel(norm="l2", eps=0.1), options=options)
    torch.testing.assert_close(found.success, best, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["CW", "DeepFool", "FAB"])
def test_the_nearest_point_counts_only_within_eps(name: str) -> None:
    images = films()
    model, labels, best = binary(images, 2, 0.1)
    options = {"c": 10, "lr": 0.002, "steps": 300} if name == "CW" else {}
    found = guarded(model, images, labels, SigmoidHead(), name, threat=ThreatModel(norm="l2", eps=0.1), options=options)
    assert not bool((found.success & ~best).any())
    assert int(found.success.sum()) >= int(best.sum()) - 2  # those at the very edge of eps
    if name != "FAB":  # which keeps back points beyond eps itself
        assert found.flags["beyond_eps"] > 0.2


def test_logits_times_a_million_change_nothing() -> None:
    images = films()
    weight = torch.randn((3, SIDE * SIDE), generator=torch.Generator().manual_seed(2)) / 40
    model, loud = Linear(weight), Linear(weight, scale=1e6)
    labels = model(images).argmax(dim=1)
    plain = guarded(model, images, labels, SoftmaxHead(num_classes=3), "PGD")
    found = guarded(loud, images, labels, SoftmaxHead(num_classes=3), "PGD")
    assert int(plain.success.sum()) >= 3
    torch.testing.assert_close(found.success, plain.success, rtol=0, atol=0)
    as_it_comes = torchattacks.PGD(loud, eps=EPS, alpha=EPS / 4, steps=10, random_start=False)(images, labels)
    raw = model(as_it_comes).argmax(dim=1) != labels
    assert int(raw.sum()) < int(found.success.sum())


def test_carlini_and_wagner_see_through_log_softmax() -> None:
    images = films()
    weight = torch.randn((3, SIDE * SIDE), generator=torch.Generator().manual_seed(2)) / 10
    model = nn.Sequential(Linear(weight), nn.LogSoftmax(dim=1))
    labels = model(images).argmax(dim=1)
    found = guarded(
        model,
        images,
        labels,
        SoftmaxHead(num_classes=3),
        "CW",
        threat=ThreatModel(norm="l2", eps=2.0),
        options={"c": 10, "steps": 100},
    )
    assert found.robust_share == 0.0
    as_it_comes = torchattacks.CW(model, c=10, steps=100)(images, labels)
    assert not bool((model(as_it_comes).argmax(dim=1) != labels).any())
