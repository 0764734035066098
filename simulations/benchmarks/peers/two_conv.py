"""The network of pfl-research's CIFAR-10 benchmark, for every program that is compared: one definition, equal work.

Two convolutions and a hidden layer with dropout, as ``simple_cnn`` in ``benchmarks/model/pytorch/cnn.py`` of
pfl-research 0.6: 3x3 kernels without padding, Glorot's uniform start; images are brought to a mean near 0 and a
deviation near 1, as its data set does. Needs torch alone.
"""

from torch import Tensor, nn

KERNEL = 3
MEAN, DEVIATION = 0.57, 0.17
"""Of the pixels of PneumoniaMNIST's training images in [0, 1]."""


class Standardize(nn.Module):
    """Images in [0, 1] -> mean near 0, deviation near 1."""

    def forward(self, images: Tensor) -> Tensor:
        """(image - mean) / deviation."""
        return (images - MEAN) / DEVIATION


def two_conv(num_channels: int, image_size: int, num_outputs: int, width: int) -> nn.Sequential:
    """The module; takes (batch, num_channels, image_size, image_size).

    Args:
        num_channels: of the images.
        image_size: height and width of the images.
        num_outputs: logits.
        width: channels of the first convolution; the second has 2, the hidden layer 4 times as many. 32 is pfl's.
    """
    pooled = (image_size - 2 * (KERNEL - 1)) // 2
    model = nn.Sequential(
        Standardize(),
        nn.Conv2d(num_channels, width, KERNEL),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, KERNEL),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(2 * width * pooled**2, 4 * width),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4 * width, num_outputs),
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    return model
