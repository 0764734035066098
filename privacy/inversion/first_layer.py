"""Closed form for networks that begin with a linear layer on all pixels; also what an imprint layer is made for."""

import copy
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from medfed.registry import plugin
from privacy.inversion.contract import Search
from privacy.inversion.errors import InversionError
from privacy.inversion.linear import layer_input
from privacy.inversion.observation import Observation
from privacy.inversion.terms import Terms


@plugin
class FirstLayer:
    """The image from the first linear layer's weight and bias: dW_c / db_c, exact for one image and one step of SGD.

    What comes before that layer may only shift and scale each pixel. For several images each gets the same answer,
    their weighted mean: no more than a blurred hint.
    """

    precision: ClassVar[Literal["float32", "float64"]] = "float64"

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Read the image off, and have it compared once."""
        seen = search.observation
        images, labels = search.start(1, generator)
        search.evaluate(first_layer_image(seen).to(images).expand_as(images), labels, Terms())
        search.report(1.0)


def first_layer_image(observation: Observation) -> Tensor:
    """The image (channel, *space) behind the change of the first linear layer.

    Raises:
        InversionError: there is no such layer, its change was not sent, or pixels are mixed before it.
    """
    name, shift, scale = _entrance(observation)
    change = observation.change
    if f"{name}.weight" not in change or f"{name}.bias" not in change:
        raise InversionError(f'attack "first_layer": expected the change of weight and bias of layer "{name}"')
    if not bool(change[f"{name}.bias"].any()):
        raise InversionError(f'attack "first_layer": the bias of layer "{name}" did not change; nothing to read')
    given = layer_input(change[f"{name}.weight"], change[f"{name}.bias"]).double()
    return ((given - shift) / scale).reshape(observation.image_shape)


def _entrance(observation: Observation) -> tuple[str, Tensor, Tensor]:
    """Name of the first linear layer; and the shift and scale of each pixel on its way there."""
    model = copy.deepcopy(observation.model).double().eval()
    layers = {module: name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    caught: list[tuple[str, Tensor]] = []
    for layer, name in layers.items():
        layer.register_forward_pre_hook(lambda _, inputs, name=name: caught.append((name, inputs[0].flatten(1))))
    pixel = torch.arange(1, 1 + torch.Size(observation.image_shape).numel()).double()
    probes = torch.stack([torch.zeros_like(pixel), torch.ones_like(pixel), pixel / pixel.max()])
    with torch.no_grad():
        model(probes.reshape(3, *observation.image_shape))
    if not caught or caught[0][1].shape != probes.shape:
        raise InversionError(_MIXED)
    name, (zero, one, ramp) = caught[0]
    scale = one - zero
    if not bool(scale.all()) or not torch.allclose(ramp, zero + scale * probes[2]):
        raise InversionError(_MIXED)
    return name, zero, scale


_MIXED = (
    'attack "first_layer": expected a model that begins with a linear layer on all pixels; got one that mixes pixels '
    "before; use inverting_gradients"
)
