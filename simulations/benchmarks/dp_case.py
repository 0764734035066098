"""The three cases of the notes, each trained in three ways: plain, privately by ours, privately by Opacus's hooks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from monai.networks.nets.unet import UNet
from torch import Tensor, nn
from torch.nn import functional

from medfed.models.resnet18 import ResNet18
from medfed.types import Task
from privacy.noise import seeded_normal
from privacy.training.backends import BACKENDS
from privacy.training.backends.contract import trained
from privacy.training.memory import images_at_once
from privacy.training.step import noisy_mean
from simulations.benchmarks.processes import MEGABYTE, forget_peak, peak_bytes

SIZE = 64
CLIP = NOISE_MULTIPLIER = 1.0
LR = 0.01

Step = Callable[[], None]


def small_cnn() -> nn.Module:
    """Three strided convolutions and a linear layer: 64,586 parameters."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 8 * 8, 10))


def unet() -> nn.Module:
    """MONAI's, with instance normalization: 0.4 M parameters."""
    return UNet(2, 1, 2, (16, 32, 64, 128), (2, 2, 2), num_res_units=2)


def resnet() -> nn.Module:
    """Ours, with group normalization: 2.8 M parameters."""
    return ResNet18(width=32)(Task("classification", tuple("abcdefghij"), "softmax", 3, SIZE))


@dataclass(frozen=True)
class Case:
    """A model and a batch of its images; ``pixels``: targets are class maps."""

    build: Callable[[], nn.Module]
    batch_size: int
    channels: int
    pixels: bool = False


CASES = {
    "CNN 65 k, batch 64": Case(small_cnn, 64, 1),
    "UNet 0.4 M, batch 16": Case(unet, 16, 1, pixels=True),
    "ResNet-18 2.8 M, batch 16": Case(resnet, 16, 3),
}


def step_of(name: str, way: str, memory_mb: int) -> Step:
    """What trains one step of a case: ``sgd``, ``ours`` or ``hooks``, always on the same batch and weights."""
    case = CASES[name]
    torch.manual_seed(0)
    model = case.build().train()
    draws = torch.Generator().manual_seed(1)
    images = torch.rand(case.batch_size, case.channels, SIZE, SIZE, generator=draws)
    shape = (case.batch_size, SIZE, SIZE) if case.pixels else (case.batch_size,)
    targets = torch.randint(0, 2, shape, generator=draws)
    ways: dict[str, Callable[[nn.Module, Tensor, Tensor], Step]] = {
        "sgd": _plain,
        "ours": partial(_ours, memory_mb=memory_mb),
        "hooks": _hooks,
    }
    return ways[way](model, images, targets)


def _plain(model: nn.Module, images: Tensor, targets: Tensor) -> Step:
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(model(images), targets))
        optimizer.step()

    return step


def _ours(model: nn.Module, images: Tensor, targets: Tensor, memory_mb: int) -> Step:
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    owners, normal = torch.arange(len(images)), seeded_normal(1, "benchmark")
    chunk = images_at_once(model, functional.cross_entropy, images, targets, memory_mb)

    def step() -> None:
        with BACKENDS["vmap"](model, functional.cross_entropy, chunk) as clipper:
            total = clipper(images, targets, owners, CLIP).total
        noised = noisy_mean(total, CLIP, NOISE_MULTIPLIER, len(images), normal)
        for name, parameter in trained(model).items():
            parameter.grad = noised[name]
        optimizer.step()
        optimizer.zero_grad()

    return step


def _hooks(model: nn.Module, images: Tensor, targets: Tensor) -> Step:
    from opacus import PrivacyEngine

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, targets), batch_size=len(images))
    private, optimizer, _ = PrivacyEngine().make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=LR),
        data_loader=loader,
        noise_multiplier=NOISE_MULTIPLIER,
        max_grad_norm=CLIP,
        poisson_sampling=False,  # the step alone is timed, on one batch
    )

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(private(images), targets))
        optimizer.step()

    return step


def peak_megabytes(name: str, way: str, memory_mb: int) -> float:
    """How far this process grows in three steps above what it has with model and batch; for a fresh process."""
    torch.set_num_threads(1)
    step = step_of(name, way, memory_mb)
    before = forget_peak()
    for _ in range(3):
        step()
    return (peak_bytes() - before) / MEGABYTE
