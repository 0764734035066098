"""``torch.func.vmap`` of the gradient of one image's loss: no layer sees another image, whatever the layer does."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from medfed.types import Weights
from privacy.training.backends.contract import SampleLoss, trained
from privacy.training.clipping import Clipper, Inputs, PerSample, Targets, chunked_clipper


@contextmanager
def stacked(model: nn.Module, loss: SampleLoss, chunk: int) -> Iterator[Clipper]:
    """Nothing is hung into the model."""
    yield chunked_clipper(vmapped(model, loss), trained(model), chunk)


def vmapped(model: nn.Module, loss: SampleLoss) -> PerSample:
    """Gradients by one stacked backward pass; dropout is drawn for every image by itself."""

    def one(parameters: Weights, image: Tensor, target: Tensor) -> Tensor:
        return loss(functional_call(model, parameters, (image[None],)), target[None])

    gradients_of = vmap(grad_and_value(one), in_dims=(None, 0, 0), randomness="different")

    def per_sample(inputs: Inputs, targets: Targets) -> tuple[Weights, Tensor]:
        parameters = {name: value.detach() for name, value in trained(model).items()}
        gradients, losses = gradients_of(parameters, inputs, targets)
        return gradients, losses

    return per_sample
