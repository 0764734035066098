"""Where models lie. Oracle: torch's fake tensors, which compute shapes only and refuse to mix devices.

They stand on a pretended device, so that no GPU is needed; numbers on a real GPU are not tested. The device stays known
to torch, and must be before its first backward pass: ``test_devices.py`` runs this file in a process of its own.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from client import local
from medfed.config import Scenario, parse_scenario
from medfed.devices import CPU, computing_on
from medfed.messages import Request
from medfed.training.batched import SiteJob, train_batched
from medfed.training.local import train_local
from medfed.training.predictions import logits_in_batches
from medfed.types import ImageSet, SiteData
from tests.medfed.trial import TEXT

CLASSES: dict[str, dict[str, Any]] = {
    "cross_entropy": {"training.loss": {"name": "cross_entropy", "class_weights": "balanced"}},
    "bce": {"task.head": "sigmoid", "training.loss": {"name": "bce", "pos_weight": "balanced"}},
    "frozen BatchNorm": {"model.norm": "batch", "federation.batch_norm": "frozen"},
    "sgd": {"training.optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}},
    "pgd": {"training.adversarial": "pgd"},
    "trades": {"training.adversarial": "trades"},
    "fast": {"training.adversarial": "fast"},
}
OUTLINES: dict[str, dict[str, Any]] = {
    "dice": {"training.loss": "dice"},
    "dice_ce": {"training.loss": {"name": "dice_ce", "class_weights": "balanced"}},
}
UNET = {"task.kind": "segmentation", "model": {"name": "unet", "width": 4, "depth": 2}}
CASES = CLASSES | {name: UNET | changes for name, changes in OUTLINES.items()}


@pytest.fixture(scope="module")
def pretended() -> torch.device:
    """A device that torch knows by name only."""
    _setup_privateuseone_for_python_backend("pretended")
    return torch.device("pretended", 0)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(
        fake_tensor, "CONSTANT_NUMEL_LIMIT", 0
    )  # it would compute single numbers, on a device of a name
    made = torch.tensor
    monkeypatch.setattr(torch, "tensor", lambda data, device=CPU, **form: made(data, **form).to(device))
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def _images(scenario: Scenario, num: int = 12) -> ImageSet:
    draws = np.random.default_rng(0)
    size = scenario.model_task.image_size
    shape = (num,) if scenario.task.kind == "classification" else (num, size, size)
    pixels = draws.integers(0, 256, (num, 1, size, size), dtype=np.uint8)
    rows = np.arange(num)
    return ImageSet(pixels, draws.integers(0, 2, shape, dtype=np.uint8), rows, ("p",) * num, ("i",) * num)


def _model(scenario: Scenario, device: torch.device) -> nn.Module:
    """What ``Module.to`` does, which fake tensors do not allow."""
    model: nn.Module = scenario.model(scenario.model_task)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(parameter.detach().to(device)))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty_like(buffer, device=device))
    return model


@pytest.mark.parametrize("changes", CASES.values(), ids=list(CASES))
def test_all_of_a_step_lies_on_the_device_of_the_model(
    changes: dict[str, Any], pretended: torch.device, fake: None
) -> None:
    """The loss is read after the last step, which a fake one cannot be: what comes before has passed then."""
    scenario = parse_scenario(TEXT).replace(**changes)
    model = _model(scenario, pretended)
    with pytest.raises(DataDependentOutputException):
        train_local(model, _images(scenario), scenario, "a", 1, 2)


@pytest.mark.parametrize("strategy", ["fedprox", "scaffold", "ditto"])
def test_so_does_what_a_strategy_adds(
    strategy: str, pretended: torch.device, fake: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = parse_scenario(TEXT).replace(**{"federation.strategy": strategy})
    monkeypatch.setattr(local, "_model_on", _model)
    weights = {name: value.cpu() for name, value in _model(scenario, CPU).state_dict().items()}
    zero = {name: torch.zeros_like(value) for name, value in weights.items()}
    images = _images(scenario)
    request = Request(scenario, "run", 1, weights, extras={"control": zero} if strategy == "scaffold" else {})
    with computing_on(pretended), pytest.raises(DataDependentOutputException):
        local.local_outcome(request, SiteData("a", images, images, images), {})


def test_so_do_sites_that_are_trained_at_once(pretended: torch.device, fake: None) -> None:
    scenario = parse_scenario(TEXT)
    model = _model(scenario, pretended)
    start = {name: value.cpu() for name, value in model.state_dict().items()}
    jobs = [SiteJob(site, _images(scenario, num), start) for site, num in (("a", 12), ("b", 9))]
    with pytest.raises(DataDependentOutputException):
        train_batched(model, jobs, scenario, 1)


def test_images_go_to_the_device_and_logits_come_back(pretended: torch.device, fake: None) -> None:
    scenario = parse_scenario(TEXT)
    (first, *_) = logits_in_batches(_model(scenario, pretended), _images(scenario), 4)
    assert first[0].device == first[1].device == CPU


def test_a_batch_that_stayed_on_the_cpu_is_found(pretended: torch.device, fake: None) -> None:
    """The positive control of the tests above."""
    scenario = parse_scenario(TEXT)
    with pytest.raises(Exception, match="found at least two devices"):
        _model(scenario, pretended)(torch.zeros(2, 1, 28, 28))
