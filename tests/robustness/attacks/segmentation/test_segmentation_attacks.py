"""Segmentation attacks. Oracles: the worst point of per-pixel linear models in closed form, for every goal; the bytes
of the model before and after; laws (the worst of several is no better for the model than any; noise of the same
size does less)."""

import pydantic
import pytest
import torch
from torch import Tensor, nn

from medfed.metrics.segmentation import dice
from medfed.models.unet import UNet
from medfed.types import Task
from robustness.attacks import ATTACKS
from robustness.attacks.contract import Attack
from robustness.attacks.criteria import DiceBelow
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import DenseSigmoidHead, DenseSoftmaxHead, Head, boundary
from robustness.attacks.noise import Noise
from robustness.attacks.result import AttackResult
from robustness.attacks.segmentation import CosPGD, SegmentationPGD, SegmentationWorst, SegPGD
from robustness.attacks.segmentation.losses import SEGMENTATION_LOSSES
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.segmentation.linear import images_and_masks, sigmoid_model, softmax_model, worst_masks

ATTACKED: list[Attack] = [
    SegPGD(steps=12),
    CosPGD(steps=12),
    *(SegmentationPGD(steps=12, loss=loss) for loss in ("cross_entropy", "soft_dice", "masked_margin")),
    SegmentationWorst(steps=12),
]
EPS = 0.1
NEVER = DiceBelow(threshold=1e-9)
"""Met at Dice 0 only: no image leaves before nothing worse can be found."""
TO_THE_END = RunSettings(stop_when_fooled=False, batch_size=1)


def attacked(
    model: nn.Module, images: Tensor, masks: Tensor, attack: Attack, head: Head | None = None, **threat: object
) -> AttackResult:
    return run_attack(
        model,
        images,
        masks,
        attack=attack,
        threat=ThreatModel(**{"eps": EPS} | threat),
        head=head or DenseSigmoidHead(),
        criterion=NEVER,
        settings=TO_THE_END,
    )


def decided(model: nn.Module, points: Tensor) -> Tensor:
    with torch.no_grad():
        logits = model(points)
    return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)


def unet() -> tuple[nn.Module, Tensor, Tensor]:
    """An untrained U-Net whose own output is the truth, so that its clean Dice is 1."""
    torch.manual_seed(3)
    model = UNet(width=4, depth=2)(Task("segmentation", ("background", "lesion"), "sigmoid", 1, 16))
    images = torch.rand((4, 1, 16, 16))
    with torch.no_grad():
        logits = model(images)
        model.head.bias -= logits.median()
    return model, images, decided(model, images)


@pytest.mark.parametrize("attack", ATTACKED, ids=repr)
@pytest.mark.parametrize(
    ("model", "head", "space"),
    [
        (sigmoid_model(), DenseSigmoidHead(), (8, 8)),
        (softmax_model(), DenseSoftmaxHead(num_classes=2), (8, 8)),
        (sigmoid_model(dimensions=3), DenseSigmoidHead(), (4, 5, 6)),
    ],
    ids=["sigmoid", "softmax", "3d"],
)
def test_untargeted_finds_the_worst_masks_of_a_linear_model(
    attack: Attack, model: nn.Module, head: Head, space: tuple[int, ...]
) -> None:
    images, masks = images_and_masks(*space)
    result = attacked(model, images, masks, attack, head)
    worst = worst_masks(images, masks, EPS)
    assert torch.equal(decided(model, result.adversarial), worst)
    flat = (worst.flatten(1)[:, None], masks.flatten(1)[:, None])
    torch.testing.assert_close(1 - result.damage, dice(*flat, 2)[:, 1].float())


@pytest.mark.parametrize("attack", ATTACKED, ids=repr)
@pytest.mark.parametrize(("goal", "label"), [("hide", 1), ("invent", 0)])
def test_hide_and_invent_flip_what_can_be_flipped_of_a_linear_model(attack: Attack, goal: str, label: int) -> None:
    model = sigmoid_model()
    images, masks = images_and_masks(8, 8)
    result = attacked(model, images, masks, attack, goal=goal)
    aimed = masks == label
    assert torch.equal(decided(model, result.adversarial)[aimed], worst_masks(images, masks, EPS)[aimed])


@pytest.mark.parametrize("attack", ATTACKED, ids=repr)
def test_shift_flips_the_boundary_of_a_linear_model(attack: Attack) -> None:
    model = sigmoid_model()
    images, _ = images_and_masks(20, 20)
    masks = torch.zeros((4, 20, 20), dtype=torch.long)
    masks[:, 2:8, 2:8] = 1
    result = attacked(model, images, masks, attack, goal="shift")
    aimed = boundary(masks.flatten(1), (20, 20), 1).reshape(masks.shape)
    assert 0 < int(aimed.sum()) < aimed.numel()
    assert torch.equal(decided(model, result.adversarial)[aimed], worst_masks(images, masks, EPS)[aimed])


@pytest.mark.parametrize("attack", ATTACKED, ids=repr)
def test_three_classes_of_a_linear_model(attack: Attack) -> None:
    """The scores are the channels: a pixel can be flipped if its margin is below 2 eps."""
    images = torch.rand((2, 3, 8, 8), generator=torch.Generator().manual_seed(5))
    masks = images.argmax(dim=1)
    top = images.topk(2, dim=1).values
    head = DenseSoftmaxHead(num_classes=3)
    result = attacked(nn.Identity(), images, masks, attack, head, low=-1.0, high=2.0)
    flipped, can = result.adversarial.argmax(dim=1) != masks, top[:, 0] - top[:, 1] < 2 * EPS
    assert not bool((flipped & ~can).any())
    assert int(flipped.sum()) >= 0.95 * int(can.sum())


@pytest.mark.parametrize("attack", ATTACKED, ids=repr)
def test_one_finding_of_two_is_hidden_and_the_other_left_alone(attack: Attack) -> None:
    """Each finding has a channel of the image to itself, and the other finding's channel is not moved by the climb."""
    images = 0.2 + 0.6 * torch.rand((3, 2, 8, 8), generator=torch.Generator().manual_seed(6))
    masks = (images > 0.5).long()
    model = nn.Conv2d(2, 2, kernel_size=1, groups=2)
    nn.init.ones_(model.weight)
    nn.init.constant_(model.bias, -0.5)
    result = attacked(model, images, masks, attack, DenseSigmoidHead(num_findings=2), goal="hide", target=1)
    left = result.adversarial > 0.5
    assert torch.equal(left[:, 1][masks[:, 1] == 1], (images[:, 1] > 0.5 + EPS)[masks[:, 1] == 1])
    sure = (images[:, 0] - 0.5).abs() > EPS
    assert torch.equal(left[:, 0][sure], (masks[:, 0] == 1)[sure])
    assert int((left[:, 0] & (masks[:, 0] == 1)).sum()) > int((masks[:, 0] == 1).sum()) // 2


@pytest.mark.parametrize("attack", ATTACKED, ids=repr)
def test_l2_moves_along_the_gradient(attack: Attack) -> None:
    """One pixel per image: the ball is an interval, as in linf."""
    model, images = sigmoid_model(), torch.tensor([0.45, 0.35]).reshape(2, 1, 1, 1)
    masks = torch.ones((2, 1, 1), dtype=torch.long)
    result = attacked(model, images, masks, attack, norm="l2")
    assert result.success.tolist() == [True, False]


@pytest.mark.parametrize("attack", ATTACKED, ids=repr)
def test_the_model_is_left_as_it_was(attack: Attack) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1)).train()
    model[0].weight.requires_grad_(False)
    images, masks = images_and_masks(8, 8)
    before = {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    attacked(model, images, masks, attack)
    assert {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()} == before
    assert all(module.training for module in model.modules())
    assert [parameter.requires_grad for parameter in model.parameters()] == [False] + [True] * 5
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_worst_of_several_is_at_least_as_bad_as_each_of_them_on_every_image() -> None:
    model, images, masks = unet()
    losses = tuple(SEGMENTATION_LOSSES)
    worst = attacked(model, images, masks, SegmentationWorst(steps=5, losses=losses, first=2), eps=0.02)
    alone = [
        attacked(model, images, masks, SegmentationWorst(steps=steps, losses=(loss,), first=1), eps=0.02).damage
        for loss, steps in zip(losses, (10, 5, 5, 5, 5), strict=True)
    ]
    assert len({tuple(damage.tolist()) for damage in alone}) > 1, "all losses did the same: the law says nothing"
    assert torch.equal(worst.damage, torch.stack(alone).amax(dim=0))


def test_images_that_are_fooled_leave_the_search() -> None:
    """The same images are fooled, at the price of the first climb alone."""
    model, images, masks = unet()
    runs = [
        run_attack(
            model,
            images,
            masks,
            attack=SegmentationWorst(steps=5),
            threat=ThreatModel(eps=0.05),
            head=DenseSigmoidHead(),
            criterion=DiceBelow(threshold=0.9),
            settings=RunSettings(stop_when_fooled=stop, batch_size=1),
        )
        for stop in (True, False)
    ]
    assert bool(runs[0].success.all())
    assert torch.equal(runs[0].success, runs[1].success)
    assert runs[0].gradient_images <= 5 * len(images)
    assert runs[1].gradient_images == 25 * len(images)


@pytest.mark.parametrize("attack", ATTACKED, ids=repr)
def test_noise_of_the_same_size_does_far_less_damage(attack: Attack) -> None:
    model, images, masks = unet()
    noise = attacked(model, images, masks, Noise(draws=12), eps=0.02)
    found = attacked(model, images, masks, attack, eps=0.02)
    assert bool((noise.damage > 0).all())
    assert bool((found.damage > 1.5 * noise.damage).all())


def test_an_unknown_loss_and_an_empty_list_are_refused() -> None:
    for losses in (("dice",), ()):
        with pytest.raises(pydantic.ValidationError, match="losses"):
            SegmentationWorst(losses=losses)
    with pytest.raises(pydantic.ValidationError, match="loss"):
        SegmentationPGD(loss="seg_pgd")


def test_registered_by_name() -> None:
    named = {"seg_pgd": SegPGD, "cos_pgd": CosPGD, "segmentation_pgd": SegmentationPGD}
    assert named.items() <= ATTACKS.items()
    assert ATTACKS["segmentation_worst"] is SegmentationWorst
