"""Architectures: one file each, and the table of them."""

from medfed.models.resnet18 import ResNet18
from medfed.models.small_cnn import SmallCNN
from medfed.models.unet import UNet

MODELS = {
    "resnet18": ResNet18,
    "small_cnn": SmallCNN,
    "unet": UNet,
}
