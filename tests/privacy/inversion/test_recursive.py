"""The recursive closed form. Oracle: the images that were planted."""

import pytest
import torch
from torch import nn

from medfed.models.layers import Center
from medfed.training.optimizers import SGD, AdamW
from privacy.inversion.engine import run_inversion
from privacy.inversion.errors import InversionError
from privacy.inversion.recursive import Recursive
from privacy.measures.images import psnr
from tests.privacy.inversion.cases import convolutional, dense, gradient, pictures


def chain(activation: type[nn.Module]) -> nn.Module:
    """Three convolutions, the first and the last two with other strides and paddings, and a linear layer."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 6, 5, 2, 2), nn.Conv2d(6, 6, 3, 1, 1), nn.Conv2d(6, 4, 3, 1, 0)]
    for layer in layers:
        nn.init.uniform_(layer.weight, -0.5, 0.5)
    parts = [part for layer in layers for part in (layer, activation())]
    return nn.Sequential(Center(), *parts, nn.Flatten(), nn.Linear(16, 4))


@pytest.mark.parametrize("model", [chain(nn.Sigmoid), chain(nn.Tanh), dense()], ids=["sigmoid", "tanh", "linear"])
def test_a_chain_gives_its_image_away(model: nn.Module) -> None:
    truth = pictures(1)
    found = run_inversion(gradient(model, truth, torch.tensor([2])), attack=Recursive())
    assert float(psnr(found.images, truth)) >= 60
    assert found.iterations == 1
    assert found.loss < 1e-6


def test_neither_a_known_nor_an_unknown_learning_rate_matters() -> None:
    truth = pictures(1)
    seen = gradient(chain(nn.Sigmoid), truth, torch.tensor([1]))
    slow = seen.replace(change={n: 0.01 * v for n, v in seen.change.items()}, optimizer=SGD(lr=0.02), lr_scale=0.5)
    for known in (slow, slow.replace(optimizer=None)):
        assert float(psnr(run_inversion(known, attack=Recursive()).images, truth)) >= 60


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        (convolutional(), {}, "expected a chain"),
        (chain(nn.ReLU), {}, "expected a chain"),
        (chain(nn.Sigmoid), {"local_steps": 2}, "expected one step of plain SGD"),
        (chain(nn.Sigmoid), {"optimizer": AdamW()}, "expected one step of plain SGD"),
    ],
    ids=["another activation", "ReLU", "two steps", "AdamW"],
)
def test_what_it_cannot_undo_is_refused(model: nn.Module, fields: dict[str, object], message: str) -> None:
    seen = gradient(model, pictures(1), torch.tensor([2])).replace(**fields)
    with pytest.raises(InversionError, match=message):
        run_inversion(seen, attack=Recursive())


def test_a_layer_that_is_too_large_is_refused() -> None:
    with pytest.raises(InversionError, match="takes in 96 values; expected at most 50"):
        run_inversion(gradient(chain(nn.Sigmoid), pictures(1), torch.tensor([2])), attack=Recursive(most_inputs=50))
