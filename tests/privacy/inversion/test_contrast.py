"""What an update cannot tell: contrast, behind a convolution without bias and a normalization of each image.

Oracle: the law conv(a x) = a conv(x), and that GroupNorm takes a out again, up to its epsilon and the kinks
that the epsilon moves.
"""

import pytest
import torch

from medfed.models.small_cnn import SmallCNN
from medfed.models.unet import UNet
from medfed.types import Task
from tests.privacy.inversion.cases import gradient, pictures

SAME = 1e-4


def angle(model: torch.nn.Module, task: Task, labels: torch.Tensor) -> float:
    """1 - cosine between the updates of an image and of the same with half its contrast about mid-grey."""
    model, image = model.double(), pictures(1, (1, 16, 16)).double()
    one, other = (
        torch.cat([v.flatten() for v in gradient(model, x, labels, task=task).change.values()])
        for x in (image, 0.5 + 0.5 * (image - 0.5))
    )
    return 1.0 - float(one @ other / (one.norm() * other.norm()))


@pytest.mark.parametrize(("norm", "blind"), [("group", True), ("instance", True), ("batch", False)])
def test_normalization_of_each_image_hides_contrast(norm: str, blind: bool) -> None:
    task = Task("classification", ("a", "b"), "softmax", 1, 16)
    torch.manual_seed(0)
    found = angle(SmallCNN(width=8, norm=norm)(task), task, torch.tensor([1]))
    assert found < SAME if blind else found > 100 * SAME


def test_a_unet_hides_contrast() -> None:
    task = Task("segmentation", ("background", "nucleus"), "softmax", 1, 16)
    torch.manual_seed(0)
    mask = (pictures(1, (1, 16, 16))[:, 0] > 0.5).long()
    assert angle(UNet(width=8, depth=1)(task), task, mask) < SAME
