"""Seven heads on synthetic films, each with the labels that its users hand to an attack; models train in seconds.

A film is smooth noise with up to four kinds of bright marks (disc, ring, bar across, bar down), each there or not by
itself. So the same films serve one sigmoid (is there a disc?), classes, several findings, and masks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from medfed.models.small_cnn import SmallCNN
from medfed.models.unet import UNet
from medfed.types import Task
from robustness.attacks.criteria import Criterion, DiceBelow, WrongDecisions
from robustness.attacks.heads import DenseSigmoidHead, DenseSoftmaxHead, Head, MultiLabelHead, SigmoidHead, SoftmaxHead

NUM_KINDS = 4
SIZE = 32
"""Pixels in height and in width."""
TRAIN, TEST = 800, 40
PRESENT = 0.35
"""Probability of each kind of mark."""
NOISE = 0.03
"""Standard deviation of the noise in training, so that noise alone does little damage later."""

Loss = Callable[[Tensor, Tensor], Tensor]
Damage = Callable[[Tensor], Float[Tensor, " batch"]]


@dataclass(frozen=True, eq=False)
class Films:
    """Synthetic films: images in [0, 1] (batch, 1, height, width), findings and masks, 0 or 1 as floats."""

    images: Float[Tensor, "batch 1 height width"]
    findings: Float[Tensor, "batch finding"]
    masks: Float[Tensor, "batch 1 height width"]


@dataclass(frozen=True, eq=False)
class Case:
    """One row of the matrix.

    Attributes:
        model: in eval mode.
        images: clean.
        labels: as the users of such a model have them, and as ``head`` reads them.
        head: of ours.
        criterion: of ours; what has to be damaged is the same as in ``damage``.
        damage: the model's output for points -> error per image, 0 to 1: the measure of every cell.
        cross_entropy: output -> the right loss per image, for the reference attack.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    head: Head
    criterion: Criterion
    damage: Damage
    cross_entropy: Damage


class TwoClass(nn.Module):
    """One logit as two classes, [-z/2, z/2]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Float[Tensor, "batch 2"]:
        """Two logits whose softmax is the sigmoid."""
        logits = self.model(images).reshape(len(images), 1)
        return torch.cat([-logits / 2, logits / 2], dim=1)


def make_films(number: int, generator: torch.Generator) -> Films:
    """Draw films."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand((number, NUM_KINDS, 1, 1), generator=generator)

    line = torch.linspace(-1, 1, SIZE)
    y, x = line[:, None], line[None, :]
    across, down = x - uniform(-0.6, 0.6), y - uniform(-0.6, 0.6)
    far, radius = (across**2 + down**2).sqrt(), uniform(0.2, 0.32)
    forms = torch.stack(
        [
            far[:, 0] < radius[:, 0],
            (far[:, 1] - radius[:, 1]).abs() < 0.07,
            (down[:, 2].abs() < 0.07) & (across[:, 2].abs() < 0.45),
            (across[:, 3].abs() < 0.07) & (down[:, 3].abs() < 0.45),
        ],
        dim=1,
    ).float()
    present = (torch.rand((number, NUM_KINDS), generator=generator) < PRESENT).float()
    marks = forms * present[:, :, None, None]
    coarse = torch.randn((number, 1, 5, 5), generator=generator)
    ground = 0.4 + 0.06 * functional.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic", align_corners=True)
    ground = ground + 0.02 * torch.randn((number, 1, SIZE, SIZE), generator=generator)
    bright = (marks * uniform(0.15, 0.3)).sum(dim=1, keepdim=True)
    return Films((ground + bright).clamp(0, 1), present, marks.amax(dim=1, keepdim=True))


def trained(model: nn.Module, images: Tensor, targets: Tensor, loss: Loss, epochs: int, seed: int) -> nn.Module:
    """AdamW with a one-cycle rate; afterwards in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    batches = -(-len(images) // 50)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=generator).split(50):  # type: ignore[no-untyped-call]
            noise = NOISE * torch.randn(images[rows].shape, generator=generator)
            optimizer.zero_grad()
            loss(model((images[rows] + noise).clamp(0, 1)), targets[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return model.eval()


def cases(seed: int = 0) -> Mapping[str, Case]:
    """Train the four models and lay out the rows."""
    generator = torch.Generator().manual_seed(seed)
    train, test = make_films(TRAIN, generator), make_films(TEST, generator)
    lesion = test.masks.flatten(1).any(dim=1)  # Dice says little where there is nothing to find
    none = _none(generator)
    torch.manual_seed(seed)
    bce = functional.binary_cross_entropy_with_logits
    disc = trained(_cnn(1), train.images, train.findings[:, :1], bce, 10, seed)
    many = trained(_cnn(NUM_KINDS), train.images, train.findings, bce, 10, seed)
    one = trained(_unet(1), train.images, train.masks, _sigmoid_loss, 6, seed)
    two = trained(_unet(2), train.images, train.masks, _softmax_loss, 6, seed)
    label, findings, masks = test.findings[:, 0], test.findings, test.masks[lesion]
    return {
        "1 sigmoid, labels (N,)": _single(disc, test.images, label.long(), SigmoidHead()),
        "1 sigmoid, labels (N,1) float": _single(disc, test.images, label[:, None], SigmoidHead()),
        "same as two-class [-z/2, z/2]": _single(
            TwoClass(disc).eval(), test.images, label.long(), SoftmaxHead(num_classes=2)
        ),
        "4 findings, multi-hot": _multi(many, test.images, findings),
        "4 findings, films with none": _multi(many, none.images, none.findings),
        "U-Net 1 ch, mask (N,1,H,W)": _dense(one, test.images[lesion], masks, DenseSigmoidHead()),
        "U-Net 2 ch, mask (N,H,W)": _dense(
            two, test.images[lesion], masks[:, 0].long(), DenseSoftmaxHead(num_classes=2)
        ),
    }


def _none(generator: torch.Generator) -> Films:
    """Films without a finding."""
    films = make_films(8 * TEST, generator)
    rows = (films.findings.sum(dim=1) == 0).nonzero()[:TEST, 0]
    return Films(films.images[rows], films.findings[rows], films.masks[rows])


def _cnn(outputs: int) -> nn.Module:
    return SmallCNN(width=8, norm="batch")(_task("classification", outputs))


def _unet(outputs: int) -> nn.Module:
    return UNet(width=8, depth=2, norm="batch")(_task("segmentation", outputs))


def _task(kind: Literal["classification", "segmentation"], outputs: int) -> Task:
    names = tuple(str(number) for number in range(max(2, outputs)))
    return Task(kind=kind, classes=names, head="sigmoid" if outputs == 1 else "softmax", channels=1, image_size=SIZE)


def _single(model: nn.Module, images: Tensor, labels: Tensor, head: Head) -> Case:
    truth = labels.flatten().float()

    def logit(output: Tensor) -> Tensor:
        return output[:, 1] - output[:, 0] if output.shape[1] == 2 else output[:, 0]

    return Case(
        model,
        images,
        labels,
        head,
        WrongDecisions(),
        lambda output: ((logit(output) > 0).float() != truth).float(),
        lambda output: functional.binary_cross_entropy_with_logits(logit(output), truth, reduction="none"),
    )


def _multi(model: nn.Module, images: Tensor, findings: Tensor) -> Case:
    return Case(
        model,
        images,
        findings,
        MultiLabelHead(num_findings=NUM_KINDS),
        WrongDecisions(share=1.0),
        lambda output: ((output > 0).float() != findings).float().mean(dim=1),
        lambda output: functional.binary_cross_entropy_with_logits(output, findings, reduction="none").mean(dim=1),
    )


def _dense(model: nn.Module, images: Tensor, masks: Tensor, head: Head) -> Case:
    truth = masks.reshape(len(images), -1).float()

    def logit(output: Tensor) -> Tensor:
        return (output[:, -1] - output[:, 0] if output.shape[1] == 2 else output[:, 0]).flatten(1)

    def damage(output: Tensor) -> Tensor:
        shown = (logit(output) > 0).float()
        return 1 - 2 * (shown * truth).sum(dim=1) / (shown.sum(dim=1) + truth.sum(dim=1)).clamp(min=1)

    return Case(
        model,
        images,
        masks,
        head,
        DiceBelow(threshold=1e-3),  # every film is driven on to the end, so that Dice can be compared
        damage,
        lambda output: functional.binary_cross_entropy_with_logits(logit(output), truth, reduction="none").mean(dim=1),
    )


def _soft_dice(probability: Tensor, truth: Tensor) -> Tensor:
    both, total = (probability * truth).flatten(1).sum(1), (probability + truth).flatten(1).sum(1)
    return (1 - (2 * both + 1) / (total + 1)).mean()


def _sigmoid_loss(output: Tensor, masks: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(output, masks) + _soft_dice(output.sigmoid(), masks)


def _softmax_loss(output: Tensor, masks: Tensor) -> Tensor:
    return functional.cross_entropy(output, masks[:, 0].long()) + _soft_dice(output.softmax(1)[:, 1:], masks)
