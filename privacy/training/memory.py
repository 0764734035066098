"""How many images at a time: what their gradients and activations take, against a limit."""

import torch
from torch import nn

from medfed.training.memory import saved_bytes
from privacy.training.backends.contract import SampleLoss, trained
from privacy.training.clipping import Inputs, Targets
from privacy.training.suitability import without_draws

_MEGABYTE = 1_000_000
# In sizes of what a batch holds once, as measured on the three cases of simulations.benchmarks.dp.
_PER_GRADIENT = 2.0  # of an image: itself and what it is summed from
_PER_ACTIVATION = 3.5  # itself, its gradient, and what a layer sets aside
_STANDING = 8.0  # of a gradient, whatever the number of images: sum, noise, the optimizer's, copies of weights


def images_at_once(model: nn.Module, loss: SampleLoss, images: Inputs, targets: Targets, memory_mb: int) -> int:
    """How many images' gradients fit; at least 1, even if that one does not fit.

    Args:
        model: in the mode in which it trains.
        loss: of logits and targets.
        images: one or more, of the size that all have; the first is tried.
        targets: of the images.
        memory_mb: for gradients and activations, in megabytes, beside the model and the optimizer's state.
    """
    parameters = list(trained(model).values())
    gradient = sum(value.numel() * value.element_size() for value in parameters)
    one = _PER_GRADIENT * gradient + _PER_ACTIVATION * _saved_bytes(model, loss, images[:1], targets[:1])
    return max(1, int((memory_mb * _MEGABYTE - _STANDING * gradient) / one))


def _saved_bytes(model: nn.Module, loss: SampleLoss, image: Inputs, target: Targets) -> int:
    with torch.random.fork_rng(devices=[]), without_draws(model):
        return saved_bytes(lambda: loss(model(image), target), model.parameters())
