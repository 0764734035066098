"""Images that were planted are found again. Oracle: the images; the closed form of a linear layer."""

import pytest
import torch
from torch import nn

from medfed.models.layers import Center
from medfed.models.unet import UNet
from medfed.training.losses.dice_ce import DiceCrossEntropy
from medfed.training.optimizers import SGD
from medfed.types import Task
from privacy.inversion.contract import Inversion
from privacy.inversion.dlg import DLG
from privacy.inversion.engine import run_inversion
from privacy.inversion.errors import InversionError
from privacy.inversion.first_layer import FirstLayer
from privacy.inversion.grad_inversion import GradInversion
from privacy.inversion.inverting_gradients import InvertingGradients
from privacy.inversion.settings import InversionSettings
from privacy.measures.images import LARGEST_DB, psnr
from privacy.measures.matching import match_images
from tests.privacy.inversion.cases import convolutional, dense, gradient, pictures


def decibels(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float(psnr(found[match_images(found, truth)], truth).min())


def test_a_linear_first_layer_gives_a_single_image_away_exactly() -> None:
    truth = pictures(1)
    found = run_inversion(gradient(dense(), truth, torch.tensor([2])), attack=FirstLayer())
    assert decibels(found.images, truth) == LARGEST_DB
    assert found.labels.tolist() == [2]
    assert found.loss < 1e-5


def test_the_closed_form_refuses_a_convolution() -> None:
    with pytest.raises(InversionError, match="begins with a linear layer"):
        run_inversion(gradient(convolutional(), pictures(1), torch.tensor([2])), attack=FirstLayer())


@pytest.mark.parametrize(
    "attack",
    [
        InvertingGradients(iterations=150),
        InvertingGradients(iterations=150, signed=True, restarts=2),
        DLG(iterations=80),
        GradInversion(iterations=150, restarts=2),
    ],
    ids=["plain Adam", "signed Adam, two starts", "dlg", "grad_inversion"],
)
def test_a_planted_image_is_found_behind_a_convolution(attack: Inversion) -> None:
    truth = pictures(1)
    found = run_inversion(gradient(convolutional(), truth, torch.tensor([3])), attack=attack)
    assert found.labels.tolist() == [3]
    assert decibels(found.images, truth) >= 25


def test_the_volume_of_a_patch_of_three_channels_is_found() -> None:
    truth = pictures(1, (3, 4, 4, 4))
    seen = gradient(convolutional(dimensions=3, channels=3), truth, torch.tensor([0]))
    assert decibels(run_inversion(seen, attack=InvertingGradients(iterations=150)).images, truth) >= 25


def test_a_batch_behind_batch_norm_in_training_mode_is_found() -> None:
    truth = pictures(2)
    seen = gradient(convolutional(norm=True), truth, torch.tensor([0, 2]), train=True)
    found = run_inversion(seen, attack=GradInversion(iterations=150, restarts=2))
    assert decibels(found.images, truth) >= 20


def test_several_steps_of_sgd_are_undone() -> None:
    """The change is that of real steps, taken with torch's optimizer."""
    truth, labels, model = pictures(2), torch.tensor([0, 3]), convolutional()
    seen = gradient(model, truth, labels)
    optimizer = torch.optim.SGD(model.eval().parameters(), lr=0.05)
    for _ in range(4):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(truth), labels).backward()
        optimizer.step()
    change = {name: value.detach() - seen.weights[name] for name, value in model.state_dict().items()}
    seen = seen.replace(change=change, local_steps=4, optimizer=SGD(lr=0.05))
    found = run_inversion(seen, attack=InvertingGradients(iterations=150))
    assert found.labels.tolist() == [0, 3]
    assert decibels(found.images, truth) >= 25


@pytest.mark.parametrize("known", [True, False], ids=["mask known", "mask unknown"])
def test_the_image_behind_a_segmentation_is_found(known: bool) -> None:
    """A network of two convolutions; the mask, where it is not known, is read off along with the image."""
    task = Task("segmentation", ("background", "nucleus"), "softmax", 1, 8)
    torch.manual_seed(0)
    model = nn.Sequential(Center(), nn.Conv2d(1, 8, 3, 1, 1), nn.SiLU(), nn.Conv2d(8, 2, 3, 1, 1))
    truth = pictures(1)
    mask = (truth[:, 0] > 0.5).long()
    seen = gradient(model, truth, mask, task=task)
    found = run_inversion(seen.replace(labels=mask) if known else seen, attack=DLG(iterations=200, restarts=1))
    assert found.labels.shape == mask.shape
    assert decibels(found.images, truth) >= (25 if known else 12)


def test_a_unet_is_served() -> None:
    """What its change says of the image is another matter: see docs/inversion.md."""
    task = Task("segmentation", ("background", "nucleus"), "sigmoid", 3, 16)
    torch.manual_seed(0)
    model, truth = UNet(width=4, depth=1)(task), pictures(1, (3, 16, 16))
    mask = (truth[:, 0] > 0.5).long()
    seen = gradient(model, truth, mask, task=task, loss=DiceCrossEntropy())
    start = run_inversion(seen, attack=InvertingGradients(iterations=1))
    found = run_inversion(seen, attack=InvertingGradients(iterations=30))
    assert found.labels.shape == mask.shape
    assert found.trajectory[-1][1] < 0.5 * start.trajectory[0][1]


def test_a_wrong_image_has_a_worse_loss_than_the_true_one() -> None:
    """The end check is about the images, not about what the attack said of them."""
    truth = pictures(1)
    seen = gradient(nn.Sequential(Center(), *list(dense())[1:]), truth, torch.tensor([0]))
    short = run_inversion(seen, attack=InvertingGradients(iterations=2), settings=InversionSettings(seed=5))
    assert short.loss > 100 * run_inversion(seen, attack=FirstLayer()).loss
