"""Inputs of convolutions by linear algebra, and the images behind them.

Oracles: the input that was planted, its gradient by autograd; ``torch.nn.functional.unfold``; the image that was
planted, and the attack that this one is to beat.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medfed.models.small_cnn import SmallCNN
from medfed.models.unet import UNet
from medfed.training.losses.dice_ce import DiceCrossEntropy
from medfed.training.optimizers import AdamW
from medfed.types import Task
from privacy.inversion.engine import run_inversion
from privacy.inversion.inverting_gradients import InvertingGradients
from privacy.inversion.layer_inputs import LayerInput, convolutions, network
from privacy.inversion.observation import Observation
from privacy.inversion.patches import Convolution, layer_input_direction, patch_index, spanned
from privacy.inversion.pyramid import Pyramid
from privacy.inversion.row_space import EXTREME, MID, RowSpace, read_target, same_for_all
from privacy.measures.images import psnr
from tests.privacy.inversion.cases import convolutional, gradient, pictures

TASK = Task("classification", ("a", "b"), "softmax", 1, 16)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def weight_gradient(layer: Convolution, inputs: Tensor) -> Tensor:
    """Of a loss that weighs every output by a number of its own, by autograd."""
    outputs = layer(inputs)
    (found,) = torch.autograd.grad((outputs * drawn(*outputs.shape, seed=9)).sum(), [layer.weight])
    return found


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(6, 30, 3, padding=1), (6, 5, 5)),
        (nn.Conv2d(6, 20, (3, 2), stride=(2, 1), padding=(1, 0), bias=False), (6, 7, 5)),
        (nn.Conv2d(4, 16, 3), (4, 6, 6)),
        (nn.Conv3d(2, 27, 3, padding=1), (2, 3, 3, 3)),
    ],
    ids=["plain", "stride", "no padding", "volume"],
)
def test_the_input_of_a_convolution_is_read_off_its_gradient(layer: Convolution, shape: tuple[int, ...]) -> None:
    inputs = drawn(1, *shape).relu()
    assert spanned(layer, shape)
    found = layer_input_direction(layer, weight_gradient(layer, inputs), shape)
    likeness = functional.cosine_similarity(found.direction.flatten().float(), inputs.flatten(), dim=0).abs()
    assert float(likeness) > 1 - 1e-5
    assert found.doubt < 1e-6


def test_two_images_leave_a_doubt() -> None:
    layer = nn.Conv2d(6, 30, 3, padding=1)
    assert layer_input_direction(layer, weight_gradient(layer, drawn(2, 6, 5, 5).relu()), (6, 5, 5)).doubt > 0.1


def test_a_layer_of_more_positions_than_outputs_or_of_too_few_equations_is_not_spanned() -> None:
    assert not spanned(nn.Conv2d(6, 24, 3, padding=1), (6, 5, 5))
    assert not spanned(nn.Conv2d(3, 30, 3, padding=1), (3, 5, 5))


def test_values_that_a_stride_steps_over_are_not_read() -> None:
    """Of the last row and column nothing is said: any map that is zero elsewhere fits, which is no knowledge."""
    layer = nn.Conv2d(6, 30, 3, stride=2)
    assert spanned(layer, (6, 7, 7))
    assert not spanned(layer, (6, 8, 8))
    assert layer_input_direction(layer, weight_gradient(layer, drawn(1, 6, 8, 8).relu()), (6, 8, 8)).doubt > 0.1


def test_patches_are_those_of_unfold() -> None:
    layer, inputs = nn.Conv2d(3, 8, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)), drawn(1, 3, 6, 5)
    expected = functional.unfold(inputs, (3, 2), dilation=(1, 2), padding=(1, 2), stride=(2, 1))[0].T
    values = torch.cat([torch.zeros(1), inputs.flatten()])
    assert torch.equal(values[patch_index(layer, (3, 6, 5))], expected)


def test_what_a_layer_takes_in_is_what_a_hook_sees() -> None:
    seen = gradient(SmallCNN(width=8)(TASK), pictures(1, (1, 16, 16)), torch.tensor([1]), task=TASK)
    model, image = network(seen), pictures(1, (1, 16, 16), seed=4)
    places = convolutions(model, (1, 16, 16))
    assert [place.name for place in places] == [f"features.{n}" for n in (0, 3, 7, 10, 14, 17)]
    center, features, _ = model.children()
    expected = nn.Sequential(center, *list(features.children())[:14])(image)
    assert places[4].shape == tuple(expected.shape[1:])
    assert torch.equal(LayerInput(model, places[4])(image), expected.flatten())


def test_a_pyramid_begins_as_its_image_and_moves_as_a_whole() -> None:
    image = drawn(1, 2, 8, 12)
    pyramid = Pyramid(image)
    assert torch.equal(pyramid.image(), image)
    assert [tuple(layer.shape[2:]) for layer in pyramid.layers] == [(8, 12), (4, 6), (2, 3)]
    with torch.no_grad():
        pyramid.layers[-1].add_(0.5)
    torch.testing.assert_close(pyramid.image().detach(), image + 0.5)


def bundled(image: Tensor) -> Observation:
    """The bundled classifier's kind of network, untrained, and its gradient for one image."""
    torch.manual_seed(3)
    return gradient(SmallCNN(width=8)(TASK), image, torch.tensor([1]), task=TASK)


def likeness(found: Tensor, truth: Tensor) -> float:
    """PSNR after the best factor on the contrast about mid-grey, which the update does not tell."""
    one, other = found - MID, truth - MID
    return float(psnr(MID + one * ((one * other).sum() / (one * one).sum()), truth))


def test_a_network_that_hides_contrast_gives_the_image_away_but_for_it() -> None:
    truth = pictures(1, (1, 16, 16))
    found = run_inversion(bundled(truth), attack=RowSpace(steps=400))
    assert found.labels.tolist() == [1]
    assert -float(found.images.quantile(EXTREME) - MID) == pytest.approx(0.47, abs=1e-5)
    assert float(found.images.quantile(1 - EXTREME) - MID) <= 0.36 + 1e-5
    assert likeness(found.images, truth) >= 28
    beaten = run_inversion(bundled(truth), attack=InvertingGradients(iterations=20))
    assert likeness(beaten.images, truth) <= 20


def test_an_unknown_mask_is_fitted_to_the_image() -> None:
    task = Task("segmentation", ("background", "nucleus"), "sigmoid", 3, 16)
    torch.manual_seed(0)
    model, truth = UNet(width=8, depth=2)(task), pictures(1, (3, 16, 16))
    mask = (truth[:, 0] > truth[:, 0].median()).long()
    seen = gradient(model, truth, mask, task=task, loss=DiceCrossEntropy())
    found = run_inversion(seen, attack=RowSpace(steps=120, mask_iterations=40))
    assert float((found.labels == mask).float().mean()) >= 0.8


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (gradient(convolutional(), pictures(1), torch.tensor([3])), "no layer of few positions"),
        (bundled(pictures(1, (1, 16, 16))).replace(local_steps=2), "two steps"),
        (bundled(pictures(1, (1, 16, 16))).replace(optimizer=AdamW()), "the sign of a gradient"),
        (bundled(pictures(2, (1, 16, 16))[:1]).replace(num_examples=2, batch_size=2), "two images"),
        (
            gradient(SmallCNN(width=8, norm="batch")(TASK), pictures(1, (1, 16, 16)), torch.tensor([1]), task=TASK),
            "contrast shows",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_is_not_for_is_left_to_inverting_gradients(seen: Observation, why: str) -> None:
    assert read_target(seen, 4096) is None
    found = run_inversion(seen, attack=RowSpace(iterations=2, steps=500))
    assert found.iterations == 2


def test_a_layer_that_is_too_large_or_was_not_sent_is_not_read() -> None:
    seen = bundled(pictures(1, (1, 16, 16)))
    assert read_target(seen, 4096) is not None
    assert read_target(seen, 100) is None
    still = {name: 0 * value if name.startswith("features") else value for name, value in seen.change.items()}
    assert read_target(seen.replace(change=still), 4096) is None
    kept = {name: value for name, value in seen.change.items() if "features.14" not in name and "17" not in name}
    assert read_target(seen.replace(change=kept), 4096) is None


def test_a_control_is_no_stronger_than_what_was_tried_on_the_updates() -> None:
    attack, plain = RowSpace(iterations=7), InvertingGradients(iterations=3)
    one = bundled(pictures(1, (1, 16, 16)))
    assert same_for_all(attack, [one]) == attack
    assert same_for_all(attack, [one, one.replace(local_steps=2)]) == InvertingGradients(iterations=7)
    assert same_for_all(plain, [one]) == plain
