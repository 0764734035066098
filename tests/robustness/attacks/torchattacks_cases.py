"""Linear models and films on which the best attack is known, and an attack of torchattacks behind the guard."""

from typing import Any

import torch
from torch import Tensor, nn

from robustness.attacks.heads import Head, SoftmaxHead
from robustness.attacks.result import AttackResult
from robustness.attacks.threat import ThreatModel
from robustness.attacks.torchattacks_guard import TorchAttack, run_torchattack

GREY = ThreatModel.grey_levels(8)
EPS = 8 / 255
NUM, SIDE = 12, 8
FIVE = SoftmaxHead(num_classes=5)


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
