"""What single layers of a network take in: which there are, and their values for a given image."""

import copy
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from privacy.inversion.observation import Observation
from privacy.inversion.patches import Convolution, readable
from privacy.inversion.simulation import use_batches


class Place(NamedTuple):
    """A convolution in a network.

    Attributes:
        name: of the module.
        layer: itself, of the copy that :func:`network` made.
        shape: (channel, *space) of its input for one image.
    """

    name: str
    layer: Convolution
    shape: tuple[int, ...]


def network(observation: Observation) -> nn.Module:
    """A copy of the model at the global weights, in float32, that takes no gradients; dropout and the like are off."""
    model = copy.deepcopy(observation.model)
    model.load_state_dict(observation.weights)
    model.float().eval().requires_grad_(False)
    if observation.batch_norm == "train":
        use_batches(model)
    return model


def convolutions(model: nn.Module, image_shape: tuple[int, ...]) -> list[Place]:
    """Every readable convolution that an image passes exactly once, in the order in which they are called."""
    called: list[Place] = []
    handles = []
    for name, layer in model.named_modules():
        if readable(layer):

            def note(layer: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                assert isinstance(layer, Convolution)
                called.append(Place(name, layer, tuple(inputs[0].shape[1:])))

            handles.append(layer.register_forward_pre_hook(note))
    with torch.no_grad():
        model(torch.full((1, *image_shape), 0.5))
    for handle in handles:
        handle.remove()
    names = [place.name for place in called]
    return [place for place in called if names.count(place.name) == 1]


class _Reached(Exception):  # noqa: N818
    """The layer was reached; what comes behind it is not computed."""


class LayerInput:
    """What the layer of a place takes in, as a differentiable function of one image.

    Args:
        model: see :func:`network`.
        place: one of its :func:`convolutions`.
    """

    def __init__(self, model: nn.Module, place: Place) -> None:
        self._model, self._place = model, place

    def __call__(self, image: Float[Tensor, "1 channel *space"]) -> Float[Tensor, " value"]:
        """Run the network as far as the layer."""
        seen: list[Tensor] = []

        def stop(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen.append(inputs[0])
            raise _Reached

        handle = self._place.layer.register_forward_pre_hook(stop)
        try:
            self._model(image)
        except _Reached:
            pass
        finally:
            handle.remove()
        return seen[0].flatten()
