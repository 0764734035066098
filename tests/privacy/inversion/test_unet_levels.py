"""What the levels of a U-Net take in, from its gradient alone.

Oracles: autograd for both factors of a convolution's weight gradient; a forward hook for the input of a level; planted
rectifiers.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medfed.models.layers import Norm
from medfed.models.unet import UNet, UNetModule
from medfed.training.losses.dice_ce import DiceCrossEntropy
from medfed.types import Task
from privacy.inversion.layer_inputs import LayerInput, convolutions, network
from privacy.inversion.observation import Observation
from privacy.inversion.patches import Convolution
from privacy.inversion.products import layer_input, output_gradients, patches
from privacy.inversion.rectifiers import Rectifiers, from_outputs, revised
from privacy.inversion.row_space import read_target
from privacy.inversion.unet_levels import highest_input
from tests.privacy.inversion.cases import gradient, pictures

TASK = Task("segmentation", ("background", "nucleus"), "sigmoid", 3, 16)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def factors(layer: Convolution, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients by the weights and by the outputs of a loss that weighs every output by a number of its own."""
    outputs = layer(inputs)
    found = torch.autograd.grad((outputs * drawn(*outputs.shape, seed=9)).sum(), [layer.weight, outputs])
    return found[0], found[1].reshape(layer.out_channels, -1)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(4, 6, 3, padding=1), (5, 4)),
        (nn.Conv2d(4, 9, (3, 2), (1, 2)), (5, 6)),
        (nn.Conv3d(2, 9, 2), (3, 3, 4)),
    ],
    ids=["plain", "stride", "volume"],
)
def test_either_factor_of_a_weight_gradient_follows_from_the_other(layer: Convolution, shape: tuple[int, ...]) -> None:
    layer, inputs = layer.double(), drawn(1, layer.in_channels, *shape)
    by_weight, by_output = factors(layer, inputs)
    torch.testing.assert_close(by_output @ patches(layer, inputs), by_weight.flatten(1))
    torch.testing.assert_close(layer_input(layer, by_weight, by_output, shape), inputs)
    torch.testing.assert_close(output_gradients(layer, by_weight, inputs), by_output)


def test_a_part_of_the_channels_gives_the_rest() -> None:
    layer, inputs = nn.Conv2d(6, 5, 3, padding=1).double(), drawn(1, 6, 5, 5)
    by_weight, by_output = factors(layer, inputs)
    found = output_gradients(layer, by_weight[:, 2:], inputs[:, 2:])
    torch.testing.assert_close(found, by_output)
    torch.testing.assert_close(layer_input(layer, by_weight[:, :2], found, (5, 5)), inputs[:, :2])


def test_rectifiers_that_were_taken_wrongly_are_turned_round() -> None:
    layer, inputs = nn.Conv2d(4, 8, 3, padding=1).double(), drawn(1, 4, 5, 5).relu()
    outputs, if_open = layer(inputs).detach(), drawn(8, 25, seed=3)
    truth = outputs > 0
    by_weight = ((if_open * truth.reshape(8, 25)) @ patches(layer, inputs)).reshape(layer.weight.shape)
    wrong = outputs.abs().flatten().argsort()[:12]
    taken = truth.flatten().clone()
    taken[wrong[::3]] ^= True
    rectifiers = Rectifiers(taken.reshape(truth.shape), wrong)
    for _ in range(3):
        by_output = if_open * rectifiers.open.reshape(8, 25)
        fit = layer_input(layer, by_weight, by_output, (5, 5))
        rectifiers = revised(rectifiers, layer, by_weight, by_output, fit, if_open)
    assert torch.equal(rectifiers.open, truth)
    torch.testing.assert_close(layer_input(layer, by_weight, if_open * truth.reshape(8, 25), (5, 5)), inputs)


def test_outputs_below_the_noise_count_as_shut_and_those_near_it_as_candidates() -> None:
    outputs = torch.tensor([1.0, 0.03, 0.0, -0.01, 0.002, 0.009]).double().reshape(1, 1, 2, 3)
    found = from_outputs(outputs)
    assert found.open.flatten().tolist() == [True, True, False, False, False, False]
    assert sorted(found.candidates.tolist()) == [1, 4, 5]
    exact = from_outputs(outputs.relu())
    assert exact.open.flatten().tolist() == [True, True, False, False, True, True]
    assert len(exact.candidates) == 0


def unet(norm: Norm = "group", rounding: float = 0.0) -> Observation:
    """The gradient of a U-Net of two levels; with ``rounding`` as the change of float32 weights at that rate."""
    torch.manual_seed(0)
    model, truth = UNet(width=8, depth=2, norm=norm)(TASK), pictures(1, (3, 16, 16))
    mask = (truth[:, 0] > truth[:, 0].median()).long()
    seen = gradient(model, truth, mask, task=TASK, loss=DiceCrossEntropy())
    if not rounding:
        return seen
    return seen.replace(change={n: (seen.weights[n] + rounding * v) - seen.weights[n] for n, v in seen.change.items()})


def true_input(seen: Observation, name: str) -> Tensor:
    model = network(seen)
    places = {place.name: place for place in convolutions(model, seen.image_shape)}
    return LayerInput(model, places[name])(pictures(1, (3, 16, 16))).double()


def apart(one: Tensor, other: Tensor) -> float:
    return 1.0 - float(functional.cosine_similarity(one.double().flatten(), other.flatten(), dim=0))


def climbed(seen: Observation, change: dict[str, Tensor]) -> tuple[str, Tensor]:
    model = network(seen)
    assert isinstance(model, UNetModule)
    bottom = 3.0 * true_input(seen, "down.2.0").reshape(1, 16, 4, 4)
    return highest_input(model, {name: -5.0 * value for name, value in change.items()}, bottom)


@pytest.mark.parametrize(
    ("norm", "rounding"), [("group", 0.0), ("instance", 0.0), ("group", 0.1)], ids=["group", "instance", "rounded"]
)
def test_the_level_above_follows_from_the_bottom(norm: Norm, rounding: float) -> None:
    seen = unet(norm, rounding)
    name, found = climbed(seen, dict(seen.change))
    assert name == "down.1.0"
    assert found.shape == (1, 8, 8, 8)
    assert apart(found, true_input(seen, name)) < 1e-4


def test_a_gradient_that_does_not_fit_or_was_not_sent_leaves_the_bottom() -> None:
    seen = unet()
    changed = dict(seen.change) | {"down.1.3.weight": drawn(*seen.change["down.1.3.weight"].shape).float()}
    for change in (changed, {n: v for n, v in seen.change.items() if n != "down.1.3.weight"}):
        name, found = climbed(seen, change)
        assert name == "down.2.0"
        assert apart(found, true_input(seen, name)) < 1e-6


@pytest.mark.parametrize("dead", ["merge.0.0.weight", "down.1.3.weight", "down.1.0.weight", "down.2.0.weight"])
def test_gradients_of_zero_leave_the_bottom(dead: str) -> None:
    seen = unet()
    assert climbed(seen, dict(seen.change) | {dead: torch.zeros_like(seen.change[dead])})[0] == "down.2.0"


def test_a_channel_that_the_normalization_takes_out_leaves_the_bottom() -> None:
    seen = unet()
    weights = dict(seen.weights) | {"down.1.4.weight": torch.zeros(16)}
    assert climbed(seen.replace(weights=weights), dict(seen.change))[0] == "down.2.0"


def test_the_attack_compares_the_highest_level() -> None:
    seen = unet()
    target = read_target(seen, 4096)
    assert target is not None
    assert target.direction.shape == (8 * 8 * 8,)
    assert apart(target.direction, true_input(seen, "down.1.0")) < 1e-4
