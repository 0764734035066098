"""R-GAP (Zhu and Blaschko, ICLR 2021): a chain of layers, undone one after the other from the last to the pixels."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from medfed.registry import plugin
from privacy.inversion.chain import Chain, Link, chain_of
from privacy.inversion.contract import Search
from privacy.inversion.errors import InversionError
from privacy.inversion.fields import Count
from privacy.inversion.linear_input import Belief, layer_input_belief
from privacy.inversion.local_steps import plain
from privacy.inversion.observation import Observation
from privacy.inversion.terms import Terms

ROUNDING = 2.0**-24
"""Relative error of a float32 number, which is what an update is sent in."""


@plugin
class Recursive:
    """The image of a batch of one, without a search, where each layer's activation can be undone (not ReLU).

    The last layer's input is dW_c / db_c. Going back, an activation f = phi(z) gives z and the gradient by z; then the
    input a of a layer z = W a + b with gradient dW = k a^T solves both linear equations at once. The paper solves them
    by plain least squares, which loses all digits where a sigmoid is nearly flat. Here each equation counts by the
    variance of its error, which is followed from layer to layer, starting from the rounding of float32. Several images
    all get one answer, that of a single image whose gradient is nearest in this sense: no more than a hint.

    Attributes:
        most_inputs: values that a layer may take in; the memory is about 24 bytes times their square.
    """

    precision: ClassVar[Literal["float32", "float64"]] = "float64"

    most_inputs: Count = 4096

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Read the image off, and have it compared once."""
        image = recursive_image(search.observation, self.most_inputs)
        images, labels = search.start(1, generator)
        search.evaluate(image.to(images).expand_as(images), labels, Terms())
        search.report(1.0)


def recursive_image(observation: Observation, most_inputs: int) -> Tensor:
    """The image (channel, *space) behind the gradient of one step on one image.

    Raises:
        InversionError: several steps, an optimizer that is not plain SGD, a model that is no such chain, a
            change that was not sent, or a layer with more inputs than ``most_inputs``.
    """
    _require_gradient(observation)
    chain = chain_of(observation.model, observation.weights, observation.image_shape)
    largest = max(link.inputs.numel() for link in chain.links)
    if largest > most_inputs:
        raise InversionError(
            f'attack "recursive": a layer takes in {largest} values; expected at most {most_inputs} (most_inputs)'
        )
    values = _undone(chain, observation)
    return ((values.reshape(observation.image_shape) - chain.shift) / chain.scale).clamp(0.0, 1.0)


def _require_gradient(observation: Observation) -> None:
    if observation.local_steps > 1 or not (observation.optimizer is None or plain(observation.optimizer)):
        raise InversionError('attack "recursive": expected one step of plain SGD; use inverting_gradients')


def _undone(chain: Chain, observation: Observation) -> Tensor:
    """The first layer's input. The changes stand for the gradients: one factor on all of them cancels out."""
    last = chain.links[-1]
    weight, bias = _change(observation, last)
    if not bool(bias.any()):
        raise InversionError('attack "recursive": the last bias did not change; nothing to read')
    squares = (bias * bias).sum()
    found = Belief((weight * bias[:, None]).sum(0) / squares, (ROUNDING * weight.abs().mean()) ** 2 / squares)
    slope = bias @ last.weight
    slopes = Belief(slope, (ROUNDING * slope.abs().mean()) ** 2)
    for link in reversed(chain.links[:-1]):
        found, slopes = layer_input_belief(link, _change(observation, link)[0], found, slopes, ROUNDING)
    return found.mean


def _change(observation: Observation, link: Link) -> tuple[Tensor, Tensor]:
    names = f"{link.name}.weight", f"{link.name}.bias"
    missing = [name for name in names if name not in observation.change]
    if missing:
        raise InversionError(f'attack "recursive": expected the change of "{missing[0]}"; it was not sent')
    weight, bias = (observation.change[name].double() for name in names)
    return weight, bias
