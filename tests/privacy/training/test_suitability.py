"""Which models can be trained privately, and what becomes of BatchNorm. Oracles: by hand, layers that mix images."""

import copy

import pytest
import torch
from torch import Tensor, nn

from medfed.models.layers import Center
from privacy.training.backends.contract import trained
from privacy.training.choice import fault
from privacy.training.normalization import with_group_norm
from privacy.training.suitability import unsuited
from tests.privacy.training.cases import CLASSES, given, loss_of


class Mixing(nn.Module):
    """Every image less the mean of its batch."""

    def forward(self, images: Tensor) -> Tensor:
        return images - images.mean(0, keepdim=True)


class Counting(nn.Module):
    """Remembers what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.seen += images.detach().sum()
        return images


def headed(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(Center(), *layers, nn.Flatten(), nn.Linear(28 * 28, 3))


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (headed(nn.BatchNorm2d(1)), "BatchNorm"),
        (headed(nn.BatchNorm2d(1, track_running_stats=False)), "BatchNorm"),
        (headed(nn.InstanceNorm2d(1, track_running_stats=True)), "running_mean follows the images"),
        (headed(Mixing()), "depends on the other images"),
        (headed(Counting()), "seen follows the images"),
        (headed(nn.Dropout(0.5)), ""),
        (headed(nn.GroupNorm(1, 1)), ""),
    ],
)
def test_what_mixes_images_or_remembers_them_is_refused(model, word):
    images, _ = given(CLASSES)
    before = copy.deepcopy(model.state_dict())
    found = unsuited(model, False, images)
    assert word in found
    assert bool(found) == bool(word)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_frozen_statistics_are_allowed():
    images, targets = given(CLASSES)
    model = headed(nn.BatchNorm2d(1)).train()
    assert not unsuited(model, True, images)
    model[1].eval()
    assert not fault("vmap", model, loss_of(CLASSES), images, targets, torch.arange(5))


def test_group_norm_keeps_scale_and_shift():
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Sequential(nn.BatchNorm2d(6)), nn.BatchNorm2d(6, affine=False))
    nn.init.normal_(model[1][0].weight)
    found = with_group_norm(model)
    assert isinstance(found[1][0], nn.GroupNorm)
    assert found[1][0].num_groups == 3
    assert torch.equal(found[1][0].weight, model[1][0].weight)
    assert found[1][0].weight is not model[1][0].weight
    assert found[2].weight is None
    assert isinstance(model[1][0], nn.BatchNorm2d), "the original is not changed"
    assert isinstance(with_group_norm(nn.BatchNorm2d(4)), nn.GroupNorm)
    assert set(trained(found)) == set(trained(model))
