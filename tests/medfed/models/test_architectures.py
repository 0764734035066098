"""Parts and sizes of the architectures."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from medfed.models.layers import Center, initialize, num_groups
from medfed.models.resnet18 import ResNet18
from medfed.models.small_cnn import SmallCNN
from medfed.models.unet import UNet, padded_size
from medfed.types import Task

NUCLEI = Task("segmentation", ("background", "nucleus"), "softmax", 3, 96)


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@given(channels=st.integers(1, 2048))
def test_groups_divide_channels_and_hold_two_where_they_can(channels):
    """Law: the definition of group normalization, and at least two channels per group wherever there are two."""
    groups = num_groups(channels)
    assert channels % groups == 0
    assert 1 <= groups <= 8
    assert channels == 1 or channels // groups >= 2


def test_center_by_hand():
    assert Center()(torch.tensor([[[[0.0, 0.5, 0.75, 1.0]]]])).flatten().tolist() == [-2.0, 0.0, 1.0, 2.0]


def test_initialization_has_the_variance_of_he():
    """Closed form: variance 2 / fan_in; 64 x 64 x 9 draws have a relative error of about 1 %."""
    layer = nn.Conv2d(64, 64, 3)
    torch.manual_seed(0)
    initialize(layer)
    assert layer.weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.05)
    assert not layer.bias.any()


def test_resnet18_has_the_published_number_of_parameters():
    """Oracle: torchvision's resnet18 with 1000 classes, 11,689,512 parameters."""
    task = Task("classification", tuple(str(i) for i in range(1000)), "softmax", 3, 224)
    assert _count(ResNet18(norm="batch")(task)) == 11_689_512


@pytest.mark.parametrize(("image_size", "side"), [(28, 28), (64, 64), (65, 17), (224, 56)])
def test_resnet18_keeps_small_images_whole_at_the_stem(image_size, side):
    """By hand: the small stem has stride 1; the paper's halves twice."""
    model = ResNet18(width=2)(Task("classification", ("a", "b"), "softmax", 1, image_size))
    assert model.stem(torch.zeros(1, 1, image_size, image_size)).shape[-1] == side


def test_small_cnn_size_by_hand():
    """3x3 kernels without biases, two affine parameters per normalized channel, one linear layer."""
    w, kernels = 8, 9 * (8 + 8 * 8 + 8 * 16 + 16 * 16 + 16 * 32 + 32 * 32)
    norms = 2 * 2 * (w + 2 * w + 4 * w)
    assert _count(SmallCNN(width=w)(Task("classification", ("a", "b"), "softmax", 1, 28))) == kernels + norms + 33 * 2


def test_unet_size_by_hand():
    """Contracting, up-convolution, merging and output layers of depth 1: the paper's figure 1, two levels."""
    w = 4
    down = 9 * (3 * w + w * w) + 4 * w + 9 * (w * 2 * w + 4 * w * w) + 8 * w
    up = 4 * 2 * w * w + w + 9 * (2 * w * w + w * w) + 4 * w
    assert _count(UNet(width=w, depth=1)(NUCLEI)) == down + up + 2 * w + 2


@given(size=st.integers(1, 3000), depth=st.integers(1, 6))
def test_padded_size_is_the_smallest_that_halves(size, depth):
    """Law: a multiple of 2**depth, not below size, with two pixels at the bottom, and none smaller."""
    padded = padded_size(size, depth)
    assert padded % 2**depth == 0
    assert padded >= size
    assert padded // 2**depth >= 2
    assert padded == 2 * 2**depth or padded - 2**depth < size


@given(height=st.integers(5, 40), width=st.integers(5, 40))
def test_unet_serves_images_of_any_size(height, width):
    model = UNet(width=2, depth=3)(NUCLEI)
    assert model(torch.rand(1, 3, height, width)).shape == (1, 2, height, width)


def test_unet_pads_by_repeating_the_border():
    """Inverse: an image that is the even-sized one cut off at a constant border gives the same logits there."""
    torch.manual_seed(0)
    model = UNet(width=4, depth=2)(NUCLEI).eval()
    cut = torch.rand(1, 3, 13, 14)
    whole = nn.functional.pad(cut, (0, 2, 0, 3), mode="replicate")
    torch.testing.assert_close(model(cut), model(whole)[..., :13, :14])


def test_unet_output_depends_on_far_pixels():
    """By hand: with depth 3 the receptive field spans the image, so a corner reaches past 20 pixels."""
    torch.manual_seed(0)
    model = UNet(width=4, depth=3, norm="batch")(NUCLEI).eval()  # batch norm in evaluation mixes no pixels
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    model(image)[0, 0, 32, 32].backward()
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert math.dist([rows.min()], [32]) > 20
