"""torchattacks behind the guard: held to bound, seed and side effects, whatever it does.

Oracles: fakes that return known points; byte equality; torchattacks' own list of attacks.
"""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustness.attacks.contract import AttackError
from robustness.attacks.heads import SigmoidHead
from robustness.attacks.result import AttackResult
from robustness.attacks.threat import ThreatModel
from robustness.attacks.torchattacks_guard import CATALOGUE, REFUSED
from tests.robustness.attacks.torchattacks_cases import EPS, FIVE, GREY, NUM, SIDE, Linear, binary, films, guarded

torchattacks = pytest.importorskip("torchattacks", reason="torchattacks is not installed")


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
