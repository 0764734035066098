"""What the comparison of a back end with single images is to overlook. Oracle: a known error, added to the loss."""

import torch
from torch import Tensor

from medfed.models import MODELS
from privacy.training.backends import BACKENDS
from privacy.training.choice import relative_error
from tests.privacy.training.test_backends import CLASSES, given, loss_of


def test_the_last_bits_of_a_vanishing_gradient_say_nothing_of_a_back_end():
    """Naive: the direction of every gradient counts, also of images that the model is sure of."""
    model = MODELS["small_cnn"](width=2)(CLASSES).train()
    images, targets = given(CLASSES)

    def sure(logits: Tensor, targets: Tensor) -> Tensor:
        return 1e-4 * loss_of(CLASSES)(logits, targets)

    def rounding(model, loss, chunk):
        """An error of a few millionths in the gradients of the logits."""
        return BACKENDS["vmap"](model, lambda logits, targets: loss(logits, targets) + 5e-6 * logits[:, 0].sum(), chunk)

    owners = torch.arange(5)
    assert relative_error(rounding, model, sure, images, targets, owners) > 0.01
    assert relative_error(rounding, model, sure, images, targets, owners, 0.1) < 1e-3
