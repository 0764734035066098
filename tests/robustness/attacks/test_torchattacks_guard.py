"""torchattacks behind the guard: adapted exactly, or refused with the reason.

Oracles: linear models, where the best attack is known in closed form (a decision z flips iff |z| < eps ||w||_1 for
Linf, iff |z| < eps ||w||_2 for L2); fakes that return known points; torchattacks' own list of attacks. The whole file
also runs on release 3.3.0 where MEDFED_TORCHATTACKS_330 names a folder that holds it.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustness.attacks.contract import AttackError
from robustness.attacks.criteria import WrongDecisions
from robustness.attacks.heads import DenseSigmoidHead, DenseSoftmaxHead, Head, MultiLabelHead, SigmoidHead, SoftmaxHead
from robustness.attacks.result import AttackResult
from robustness.attacks.threat import ThreatModel
from robustness.attacks.torchattacks_guard import CATALOGUE, REFUSED, TorchAttack, run_torchattack

torchattacks = pytest.importorskip("torchattacks", reason="torchattacks is not installed")

GREY = ThreatModel.grey_levels(8)
EPS = 8 / 255
NUM, SIDE = 12, 8
OLDER = "MEDFED_TORCHATTACKS_330"


class Linear(nn.Module):
    """Logits = scale (W x + b), x flattened."""

    def __init__(self, weight: Tensor, bias: Tensor | float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias, self.scale = bias, scale

    def forward(self, images: Tensor) -> Tensor:
        return self.scale * (images.flatten(1) @ self.weight.T + self.bias)


class PerPixel(nn.Module):
    """One logit per pixel, 10 (x - 1/2), as one channel or as two."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        logits = 10 * (images - 0.5)
        return logits if self.channels == 1 else torch.cat([-logits / 2, logits / 2], dim=1)


class Standardised(nn.Module):
    """A model of z-scored images that computes what ``model`` does on those in [0, 1]."""

    def __init__(self, model: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.model, self.mean, self.std = model, mean, std

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images * self.std + self.mean)


def films(*shape: int, seed: int = 0) -> Tensor:
    """Images that eps cannot push out of [0, 1]."""
    return 0.2 + 0.6 * torch.rand(shape or (NUM, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))


def one_logit(images: Tensor, norm: int, eps: float) -> tuple[Linear, Tensor]:
    """A linear logit and the margins |z| / (eps ||w||), spread over 0 to 2; labels are what it says."""
    weight = torch.randn((1, images[0].numel()), generator=torch.Generator().manual_seed(1))
    weight /= weight.norm(p=norm)
    logits = (images.flatten(1) @ weight.T)[:, 0]
    wanted = torch.linspace(-2, 2, len(images)) * eps
    return Linear(weight, (wanted - logits)[:, None]), wanted


class Rows(nn.Module):
    """A linear logit with an offset per film, found by its nearest film, as rows may come in any subset."""

    def __init__(self, weight: Tensor, images: Tensor, wanted: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("images", images.flatten(1))
        self.register_buffer("offsets", wanted - (images.flatten(1) @ weight.T)[:, 0])

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        nearest = torch.cdist(flat.detach(), self.images).argmin(dim=1)
        return flat @ self.weight.T + self.offsets[nearest][:, None]


def binary(images: Tensor, norm: int, eps: float) -> tuple[nn.Module, Tensor, Tensor]:
    """Model, labels, and which films the best attack fools."""
    linear, wanted = one_logit(images, norm, eps)
    model = Rows(linear.weight, images, wanted)
    return model, (wanted > 0).long(), wanted.abs() < eps


def guarded(model: nn.Module, images: Tensor, labels: Tensor, head: Head, name: str, **fields: Any) -> AttackResult:
    options = fields.pop("options", {})
    threat = fields.pop("threat", GREY)
    attack = TorchAttack(name=name, options=options)
    return run_torchattack(model, images, labels, attack=attack, threat=threat, head=head, **fields)


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


FIVE = SoftmaxHead(num_classes=5)
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


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_attack_of_the_catalogue_runs_on_five_classes_and_is_held_to_the_bound(name: str) -> None:
    if not hasattr(torchattacks, name):
        with pytest.raises(AttackError, match="lacks it"):
            guarded(Linear(torch.ones(5, 64)), films(), torch.zeros(NUM), FIVE, name)
        return
    images = films(4, 1, SIDE, SIDE)
    model = Linear(torch.randn((5, SIDE * SIDE), generator=torch.Generator().manual_seed(3)))
    threats = {
        "linf": ThreatModel.grey_levels(64),
        "l2": ThreatModel(norm="l2", eps=4.0),
        "l0": ThreatModel(norm="l0", eps=8.0),
    }
    small = {"Square": {"n_queries": 20}, "EADEN": {"max_iterations": 10, "binary_search_steps": 1}}
    for norm in CATALOGUE[name].norms:
        found = guarded(
            model,
            images,
            model(images).argmax(dim=1),
            FIVE,
            name,
            threat=threats[norm],
            options=small.get(name, {}),
        )
        assert found.flags["out_of_bounds"] == 0.0
        assert found.forward_images > 0


def test_the_catalogue_names_every_attack_of_the_installed_release() -> None:
    assert set(torchattacks.__all__) <= set(CATALOGUE) | set(REFUSED)


def test_the_model_and_the_random_states_are_as_they_were() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    model.train()
    model[1].eval()  # a frozen BatchNorm in a model that trains
    images = films()
    flags = [module.training for module in model.modules()]
    bytes_before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    guarded(model, images, torch.zeros(NUM), FIVE, "Square", options={"n_queries": 5})
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(tensor, bytes_before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])


@pytest.mark.parametrize("name", ["PGD", "OnePixel", "Pixle", "Square"])
def test_the_seed_decides_the_points(name: str) -> None:
    images = films(3, 1, SIDE, SIDE)
    model = Linear(torch.randn((5, SIDE * SIDE), generator=torch.Generator().manual_seed(3)) / 30)
    labels = model(images).argmax(dim=1)
    threat = ThreatModel(norm="l0", eps=4.0) if name in ("OnePixel", "Pixle") else GREY
    options = {"n_queries": 20} if name == "Square" else {}
    if name == "OnePixel":
        options = {"steps": 2}
    runs = []
    for caller_seed in (1, 2):
        torch.manual_seed(caller_seed)
        np.random.seed(caller_seed)
        runs.append(guarded(model, images, labels, FIVE, name, threat=threat, options=options, seed=7).adversarial)
    assert torch.equal(*runs)


class Fake:
    """Stands in for torchattacks.PGD; ``answer`` makes its points."""

    answer: Any = None

    def __init__(self, model: nn.Module, eps: float = EPS, alpha: float = EPS / 4) -> None:
        self.eps = eps

    def set_device(self, device: torch.device) -> None:
        pass

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        found: Tensor = type(self).answer(images)
        return found


def faked(monkeypatch: pytest.MonkeyPatch, answer: Any) -> AttackResult:
    monkeypatch.setattr(torchattacks, "PGD", type("PGD", (Fake,), {"answer": staticmethod(answer)}))
    images = films()
    model, labels, _ = binary(images, 1, EPS)
    return guarded(model, images, labels, SigmoidHead(), "PGD")


def test_points_beyond_eps_do_not_count_and_are_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    found = faked(monkeypatch, lambda images: 1 - images)
    assert not bool(found.success.any())
    assert found.flags["out_of_bounds"] == 1.0


def test_points_that_are_not_numbers_do_not_count_and_are_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    found = faked(monkeypatch, lambda images: images * torch.nan)
    assert not bool(found.success.any())
    assert found.flags["nonfinite_points"] == 1.0


def test_an_attack_that_does_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert faked(monkeypatch, lambda images: images).flags["no_better_than_noise"] == 1.0


def test_an_attack_that_works_does_not() -> None:
    images = films(24, 1, SIDE, SIDE)
    model, labels, _ = binary(images, 1, EPS)
    assert guarded(model, images, labels, SigmoidHead(), "PGD").flags["no_better_than_noise"] == 0.0


def test_what_it_raises_becomes_a_refusal_that_quotes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(images: Tensor) -> Tensor:
        raise IndexError("index 3 is out of bounds\nsecond line")

    with pytest.raises(AttackError, match=r"failed on this model with IndexError: index 3 is out of bounds; use pgd"):
        faked(monkeypatch, fails)


def test_points_of_another_shape_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AttackError, match="it returned shape"):
        faked(monkeypatch, lambda images: images[:, :, :4])


def test_without_torchattacks_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchattacks", None)
    with pytest.raises(AttackError, match=r"torchattacks cannot be imported .*without it use .*pgd") as refused:
        guarded(Linear(torch.ones(5, 64)), films(), torch.zeros(NUM), FIVE, "PGD")
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(OLDER not in os.environ, reason=f"{OLDER} names no folder with torchattacks 3.3.0")
def test_all_of_this_holds_on_release_3_3_0() -> None:
    folder = os.environ[OLDER]
    root = Path(__file__).parents[3]
    environment = {name: value for name, value in os.environ.items() if name != OLDER}
    environment["PYTHONPATH"] = os.pathsep.join([folder, str(root)])
    version = subprocess.run(
        [sys.executable, "-c", "import torchattacks; print(torchattacks.__version__)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout.strip() == "3.3.0"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", __file__],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
