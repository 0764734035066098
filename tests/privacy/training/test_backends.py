"""Gradients of single images by every back end, on our models and on MONAI's. Oracle: one backward pass per image.

MONAI's configurations are those of the notes' compatibility table, with GroupNorm for BatchNorm.
"""

import monai.networks.nets as nets
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medfed.models import MODELS
from privacy.training.backends import BACKENDS
from privacy.training.backends.contract import Backend
from privacy.training.backends.loop import one_by_one
from privacy.training.backends.stacked import vmapped
from privacy.training.choice import fault, relative_error
from privacy.training.normalization import with_group_norm
from privacy.training.suitability import unsuited, without_draws
from tests.privacy.training.cases import CLASSES, PIXELS, PIXELS_SOFTMAX, given, loss_of

SIZE = 64
OURS = {
    "small_cnn": ("small_cnn", {"width": 2}, CLASSES),
    "small_cnn instance": ("small_cnn", {"width": 2, "norm": "instance"}, CLASSES),
    "small_cnn dropout": ("small_cnn", {"width": 2, "dropout": 0.5}, CLASSES),
    "resnet18": ("resnet18", {"width": 2}, CLASSES),
    "unet": ("unet", {"width": 2, "depth": 2}, PIXELS),
    "unet instance": ("unet", {"width": 2, "depth": 2, "norm": "instance"}, PIXELS_SOFTMAX),
}

MONAI = {
    "UNet": lambda: nets.UNet(2, 1, 2, (16, 32, 64, 128), (2, 2, 2), num_res_units=2),
    "UNet(BN)": lambda: nets.UNet(2, 1, 2, (16, 32, 64), (2, 2), num_res_units=2, norm="BATCH"),
    "BasicUNet": lambda: nets.BasicUNet(2, 1, 2, (16, 16, 32, 64, 128, 16)),
    "SegResNet": lambda: nets.SegResNet(2, init_filters=8, in_channels=1, out_channels=2),
    "DynUNet": lambda: nets.DynUNet(2, 1, 2, kernel_size=[3, 3, 3], strides=[1, 2, 2], upsample_kernel_size=[2, 2]),
    "AttentionUnet": lambda: nets.AttentionUnet(2, 1, 2, (8, 16, 32), (2, 2)),
    "FlexibleUNet-b0": lambda: nets.FlexibleUNet(1, 2, "efficientnet-b0", spatial_dims=2),
    "DenseNet121": lambda: nets.DenseNet121(2, 1, 3),
    "resnet18": lambda: nets.resnet18(spatial_dims=2, n_input_channels=1, num_classes=3),
    "EfficientNetBN-b0": lambda: nets.EfficientNetBN(
        "efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=1, num_classes=3
    ),
    "UNet 3D": lambda: nets.UNet(3, 1, 2, (4, 8, 16), (2, 2), num_res_units=1),
}


def monai_loss(outputs: Tensor | list[Tensor], targets: Tensor) -> Tensor:
    logits = outputs[0] if isinstance(outputs, tuple | list) else outputs
    if logits.ndim > 2:
        halves = torch.arange(logits.shape[-1]) % 2
        targets = halves.expand(len(logits), *logits.shape[2:])
    return functional.cross_entropy(logits, targets)


def per_sample_error(model: nn.Module, loss, images: Tensor, targets: Tensor) -> float:
    """The worst image's relative error over all its parameters."""
    with without_draws(model):
        expected, _ = one_by_one(model, loss)(images, targets)
        found, _ = vmapped(model, loss)(images, targets)
    rows = [torch.cat([value.flatten(1) for value in each.values()], 1) for each in (found, expected)]
    return float(((rows[0] - rows[1]).norm(dim=1) / rows[1].norm(dim=1)).max())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", OURS)
def test_every_image_of_every_model_of_ours(name, dtype):
    kind, fields, task = OURS[name]
    torch.manual_seed(0)
    model = MODELS[kind](**fields)(task).to(dtype).train()
    images, targets = given(task)
    assert not unsuited(model, False, images.to(dtype))
    assert per_sample_error(model, loss_of(task), images.to(dtype), targets) < (
        1e-4 if dtype == torch.float64 else 1e-2
    )


def test_no_model_of_ours_is_left_out():
    assert {kind for kind, _, _ in OURS.values()} == set(MODELS)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", MONAI)
def test_every_image_of_monais_models(name, dtype):
    torch.manual_seed(0)
    model = with_group_norm(MONAI[name]()).to(dtype).train()
    shape = (16, 16, 16) if "3D" in name else (SIZE, SIZE)
    images = torch.randn(2, 1, *shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    targets = torch.tensor([0, 1])
    assert not unsuited(model, False, images)
    assert per_sample_error(model, monai_loss, images, targets) < (1e-4 if dtype == torch.float64 else 1e-2)


SERVED = {("small_cnn", "ew"), ("small_cnn instance", "ew"), ("resnet18", "ew")}
"""Where expanded weights work: they know no transposed convolution."""


@pytest.mark.parametrize("backend", ["vmap", "hooks", "ew", "ghost"])
@pytest.mark.parametrize("name", ["small_cnn", "small_cnn instance", "resnet18", "unet", "unet instance"])
def test_every_back_end_sums_the_same_clipped_gradients(name, backend):
    kind, fields, task = OURS[name]
    torch.manual_seed(0)
    model = MODELS[kind](**fields)(task).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    images, targets = given(task)
    found = fault(backend, model, loss_of(task), images, targets, torch.arange(5))
    assert bool(found) == (backend == "ew" and (name, backend) not in SERVED), found
    of_patients = fault(backend, model, loss_of(task), images, targets, torch.tensor([0, 1, 1, 1, 2]))
    assert bool(of_patients) == (bool(found) or backend == "ghost")
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    left = [part for part in model.modules() if part._forward_hooks or part._backward_hooks]
    assert not left
    assert not any(hasattr(value, "grad_sample") or value.grad is not None for value in model.parameters())


@pytest.mark.parametrize("name", ["bce", "dice", "dice_ce", "cross_entropy"])
def test_every_loss(name):
    model = MODELS["unet"](width=2, depth=1)(PIXELS).train()
    images, targets = given(PIXELS)
    targets[0] = 0  # an image without a front
    assert not fault("vmap", model, loss_of(PIXELS, name), images, targets, torch.arange(5))


def test_a_wrong_back_end_is_found_out():
    """One that clips the mean instead of each image, and one that gives each image its neighbour's gradient."""

    def mean_clipped(clipper):
        def clip(images, targets, owners, bound):
            found = clipper(images, targets, torch.zeros_like(owners), bound)
            return type(found)({name: len(owners) * value for name, value in found.total.items()}, found.loss)

        return clip

    class MeanClipped:
        def __call__(self, model, loss, chunk):
            self.inner = BACKENDS["vmap"](model, loss, chunk)
            return self

        def __enter__(self):
            return mean_clipped(self.inner.__enter__())

        def __exit__(self, *about):
            return self.inner.__exit__(*about)

    model = MODELS["small_cnn"](width=2)(CLASSES).train()
    images, targets = given(CLASSES)
    assert isinstance(MeanClipped(), Backend)
    assert relative_error(MeanClipped(), model, loss_of(CLASSES), images, targets, torch.arange(5)) > 0.05
    assert relative_error(BACKENDS["vmap"], model, loss_of(CLASSES), images, targets, torch.arange(5)) < 1e-4


def test_dropout_is_drawn_for_each_image():
    """Two equal images have unequal gradients under dropout, in one stacked pass as one by one."""
    model = MODELS["small_cnn"](width=8, dropout=0.5)(CLASSES).train()
    image, _ = given(CLASSES, 1)
    twice, targets = image.expand(2, -1, -1, -1), torch.zeros(2, dtype=torch.long)
    found, _ = vmapped(model, loss_of(CLASSES))(twice, targets)
    assert not torch.equal(found["head.3.weight"][0], found["head.3.weight"][1])


def test_an_image_whose_gradient_is_not_finite_is_left_out_by_ghost_as_by_the_loop():
    """Naive: its factor is 0, and 0 times infinity breaks the sum."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))
    images, targets = torch.rand(4, 1, 4, 4), torch.tensor([0, 1, 0, 1])
    images[2] = float("inf")

    def total(name: str, chunk: int) -> Tensor:
        with BACKENDS[name](model, functional.cross_entropy, chunk) as clipper:
            found = clipper(images, targets, torch.arange(4), 0.1).total
        return torch.cat([value.flatten() for value in found.values()])

    expected = total("loop", 4)
    assert bool(expected.isfinite().all())
    for chunk in (1, 2, 4):  # alone in its chunk, and beside others
        assert torch.allclose(total("ghost", chunk), expected, rtol=1e-4, atol=1e-7)
