"""Is a network a chain of layers whose activations can be undone? Found out by running it, not by reading its code."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medfed.types import Weights
from privacy.inversion.errors import InversionError


@dataclass(frozen=True)
class Activation:
    """An activation f = phi(z) that can be undone.

    Attributes:
        value: phi.
        inverse: z from f.
        slope: phi'(z) from f.
        bend: phi''(z) / phi'(z) from f.
        low, high: the range of f.
    """

    value: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    bend: Callable[[Tensor], Tensor]
    low: float
    high: float


_INF = float("inf")
ACTIVATIONS: Mapping[str, Activation] = {
    "none": Activation(lambda z: z, lambda f: f, torch.ones_like, torch.zeros_like, -_INF, _INF),
    "sigmoid": Activation(torch.sigmoid, torch.logit, lambda f: f * (1 - f), lambda f: 1 - 2 * f, 0.0, 1.0),
    "tanh": Activation(torch.tanh, torch.atanh, lambda f: 1 - f * f, lambda f: -2 * f, -1.0, 1.0),
}


@dataclass(frozen=True, eq=False)
class Link:
    """A layer z = W a + b, of one image, and what comes after it; float64.

    Attributes:
        name: of the layer in the model.
        layer: a linear layer or a convolution.
        inputs: a of a probe, (channel, *space) or (values,); only its shape counts.
        outputs: z of a probe.
        activation: what the next layer sees of z.
    """

    name: str
    layer: nn.Linear | nn.Conv2d
    inputs: Tensor
    outputs: Tensor
    activation: Activation

    @property
    def weight(self) -> Tensor:
        """W, detached."""
        return self.layer.weight.detach()


@dataclass(frozen=True, eq=False)
class Chain:
    """The layers in their order; the first sees shift + scale * image."""

    links: tuple[Link, ...]
    shift: Tensor
    scale: Tensor


def chain_of(model: nn.Module, weights: Weights, image_shape: tuple[int, ...]) -> Chain:
    """The chain that the model is at these weights.

    Raises:
        InversionError: it is none: a layer sees anything but an activation of :data:`ACTIVATIONS` of the one before, a
            layer other than linear ones and plain 2D convolutions, with bias, has weights, or pixels are mixed before.
    """
    own = copy.deepcopy(model)
    own.load_state_dict(weights)
    own.double().eval()
    pixels = torch.rand(image_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    calls = _calls(own, pixels)
    if not calls or not isinstance(calls[-1][1], nn.Linear):
        raise InversionError(_NONE)
    links = []
    for number, (name, layer, inputs, outputs) in enumerate(calls):
        after = calls[number + 1][2] if number + 1 < len(calls) else outputs
        links.append(Link(name, layer, inputs, outputs, _activation(outputs, after)))
    zero = _calls(own, torch.zeros_like(pixels))[0][2].reshape(image_shape)
    one = _calls(own, torch.ones_like(pixels))[0][2].reshape(image_shape)
    scale = one - zero
    if not bool(scale.all()) or not torch.allclose(links[0].inputs.reshape(image_shape), zero + scale * pixels):
        raise InversionError(_NONE)
    return Chain(tuple(links), zero, scale)


Call = tuple[str, nn.Linear | nn.Conv2d, Tensor, Tensor]


def _calls(model: nn.Module, pixels: Tensor) -> list[Call]:
    """Every layer with weights, its input and its output, in the order in which they are called."""
    calls: list[Call] = []
    handles = []
    for name, layer in model.named_modules():
        if next(layer.parameters(recurse=False), None) is None:
            continue
        if not _served(layer):
            raise InversionError(_NONE)

        def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name) -> None:
            assert isinstance(layer, nn.Linear | nn.Conv2d)
            calls.append((name, layer, inputs[0][0], output[0]))

        handles.append(layer.register_forward_hook(note))
    with torch.no_grad():
        model(pixels[None])
    for handle in handles:
        handle.remove()
    if len({call[0] for call in calls}) != len(calls):
        raise InversionError(_NONE)
    return calls


def _served(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Linear):
        return layer.bias is not None
    return (
        isinstance(layer, nn.Conv2d)
        and layer.bias is not None
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


def _activation(before: Tensor, after: Tensor) -> Activation:
    if before.numel() == after.numel():
        for activation in ACTIVATIONS.values():
            if torch.allclose(activation.value(before).flatten(), after.flatten(), rtol=1e-9, atol=1e-12):
                return activation
    raise InversionError(_NONE)


_NONE = (
    'attack "recursive": expected a chain of linear layers and convolutions with biases, each followed by sigmoid, '
    "tanh or nothing, that ends in a linear layer; got another network; use inverting_gradients"
)
