"""The positive control: the same attack on undefended updates of one step and one image each, of the same model.

It is what an attacker on gradients does best at (Geiping et al. 2020). An attack that fails here says nothing by
failing elsewhere.
"""

import torch
from torch import nn

from medfed.models.entries import freeze_batch_norm
from medfed.params import set_weights
from medfed.types import Weights
from privacy.inversion.batch_norm import fewest_values
from privacy.inversion.observation import Observation, of_gradient
from privacy.leakage.truth import Truth


def undefended(full: Observation, truth: Truth, index: int) -> tuple[Observation, Truth]:
    """The gradient of one image of ``truth`` at the weights of ``full``, as an attacker would see it, and that image.

    No noise, no clipping, no rounding, no further images or steps; the scenario's loss and architecture. Where
    BatchNorm sees one value per channel of an image, it has its running statistics: one image alone has none.
    """
    if full.batch_norm == "train" and fewest_values(full.model, full.image_shape) == 1:
        full = full.replace(batch_norm="frozen")
    one = Truth(
        truth.images[index : index + 1],
        truth.labels[index : index + 1],
        truth.positions[index : index + 1],
        truth.rows[index : index + 1],
        truth.patients[index : index + 1],
    )
    gradient = gradient_of(full, one)
    fields = {name: getattr(full, name) for name in ("model", "weights", "task", "image_shape", "loss")}
    seen = of_gradient(
        gradient,
        **fields,
        num_examples=1,
        class_counts=full.class_counts,
        batch_norm=full.batch_norm,
        labels=one.labels,
    )
    return seen, one


def gradient_of(full: Observation, truth: Truth) -> Weights:
    """The gradient of the mean loss over the images of ``truth``, by parameter name; dropout is off."""
    model = full.model
    was_training = model.training
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    set_weights(model, full.weights)
    model.train(full.batch_norm == "train")
    for layer in model.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.eval()
    if full.batch_norm == "frozen":
        freeze_batch_norm(model)
    loss = full.loss(model(truth.images), truth.labels, full.class_counts)
    names, values = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, values, allow_unused=True)
    set_weights(model, kept)
    model.train(was_training)
    return {name: gradient for name, gradient in zip(names, gradients, strict=True) if gradient is not None}
