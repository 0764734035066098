"""Small observations for the tests of gradient inversion: a model, images, and the change that training gives."""

from typing import Any

import torch
from torch import Tensor, nn

from medfed.models.layers import Center
from medfed.training.losses.cross_entropy import CrossEntropy
from medfed.types import Task
from privacy.inversion.observation import Observation, of_gradient

CLASSES = ("a", "b", "c", "d")
TASK = Task("classification", CLASSES, "softmax", 1, 8)


def dense(outputs: int = 4) -> nn.Module:
    """Two linear layers with a smooth bend."""
    torch.manual_seed(0)
    return nn.Sequential(Center(), nn.Flatten(), nn.Linear(64, 16), nn.Sigmoid(), nn.Linear(16, outputs))


def convolutional(outputs: int = 4, dimensions: int = 2, channels: int = 1, norm: bool = False) -> nn.Module:
    """One convolution, eight features per pixel, one linear layer."""
    conv, batch_norm = (nn.Conv2d, nn.BatchNorm2d) if dimensions == 2 else (nn.Conv3d, nn.BatchNorm3d)
    torch.manual_seed(0)
    layers: list[nn.Module] = [
        Center() if dimensions == 2 else nn.Identity(),
        conv(channels, 8, 3, 1, 1, bias=not norm),
    ]
    if norm:
        layers.append(batch_norm(8))
    head = nn.Linear(8 * (64 if dimensions == 2 else 4**3), outputs)
    return nn.Sequential(*layers, nn.SiLU(), nn.Dropout(0.5), nn.Flatten(), head)


def pictures(count: int, shape: tuple[int, ...] = (1, 8, 8), seed: int = 1) -> Tensor:
    """Smooth random images in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, shape[0], *[3] * (len(shape) - 1), generator=generator)
    mode = "bilinear" if len(shape) == 3 else "trilinear"
    return nn.functional.interpolate(coarse, size=shape[1:], mode=mode, align_corners=True)


def gradient(model: nn.Module, images: Tensor, labels: Tensor, *, train: bool = False, **fields: Any) -> Observation:
    """The gradient of one batch as a site would send it, by autograd itself; dropout off."""
    fields = {"task": TASK, "loss": CrossEntropy(), "class_counts": None, **fields}
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.train(train)
    loss = fields["loss"](model(images), labels, fields["class_counts"])
    found = torch.autograd.grad(loss, list(model.parameters()))
    after = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(before)
    seen = of_gradient(
        {name: value for (name, _), value in zip(model.named_parameters(), found, strict=True)},
        model=model,
        weights=before,
        image_shape=tuple(images.shape[1:]),
        num_examples=len(images),
        batch_norm="train" if train else "frozen",
        **fields,
    )
    moved = {n: after[n] - before[n] for n in after if n.endswith(("running_mean", "running_var")) and train}
    return seen.replace(change=seen.change | moved)
