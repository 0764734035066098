"""What an attacker on gradients sees: global weights, the change that a site sent, what is known of its training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from medfed.models.entries import parameter_names
from medfed.training.losses.contract import Loss
from medfed.training.optimizers import SGD, Optimizer
from medfed.types import Task, Weights
from privacy.inversion.batch_norm import fewest_values
from privacy.inversion.errors import InversionError

Images = Float[Tensor, "batch channel *space"]
"""Images or volumes in [0, 1]; ``space`` is height width, or depth height width."""


@dataclass(frozen=True, eq=False)
class Observation:
    """One message of one site, as the attacker holds it. None stands for what the attacker does not know.

    A gradient is the change of one step of SGD with learning rate 1, with its sign turned (:func:`of_gradient`).

    Attributes:
        model: the architecture; maps images in [0, 1] to logits. Its own weights are neither read nor changed;
            parameters that want no gradient count as not trained.
        weights: the global state dict before the round, buffers included.
        change: local minus global, by state-dict name; entries that were not sent are missing. Buffers (running
            statistics of BatchNorm) are used where they are there.
        task: kind, classes and head. ``image_size`` is not read.
        image_shape: (channel, height, width) or (channel, depth, height, width).
        num_examples: images that took part, which are to be found.
        batch_size: images per step.
        local_steps: optimizer steps.
        optimizer: the site's optimizer; None: unknown, and only the direction of the change is used, as of one step.
        lr_scale: factor on its learning rate in this round.
        loss: the site's training loss.
        class_counts: (class,) images per class at the site, for a loss that says "balanced"; None: taken as unweighted.
        batch_norm: ``train``: BatchNorm layers used the statistics of each batch; ``frozen``: their running ones.
        labels: true classes (examples,), or masks (examples, height, width), in the order of the result; None: unknown.
    """

    model: nn.Module
    weights: Weights
    change: Weights
    task: Task
    image_shape: tuple[int, ...]
    num_examples: int
    batch_size: int
    local_steps: int
    optimizer: Optimizer | None
    loss: Loss
    lr_scale: float = 1.0
    class_counts: Int[Tensor, " class"] | None = None
    batch_norm: Literal["train", "frozen"] = "train"
    labels: Int[Tensor, "examples ..."] | None = None

    @property
    def num_batches(self) -> int:
        """Batches per pass over the images."""
        return -(-self.num_examples // self.batch_size)

    @property
    def parameters(self) -> Weights:
        """The seen change of what is trained by gradients."""
        names = parameter_names(self.model)
        return {name: value for name, value in self.change.items() if name in names}

    def replace(self, **fields: Any) -> "Observation":
        """The same observation with some fields changed."""
        return replace(self, **fields)


def of_gradient(gradient: Mapping[str, Tensor], **fields: Any) -> Observation:
    """What the attacker sees where a site sends the gradient of one batch itself.

    Args:
        gradient: mean over the batch, by parameter name.
        fields: of :class:`Observation`, without ``change``, ``batch_size``, ``local_steps`` and ``optimizer``.
    """
    change = {name: -value for name, value in gradient.items()}
    return Observation(change=change, batch_size=fields["num_examples"], local_steps=1, optimizer=SGD(lr=1.0), **fields)


def require_sound(observation: Observation) -> None:
    """Refuse what no attack can work with.

    Raises:
        InversionError: weights are missing or do not fit the architecture; a seen entry is unknown, of another shape
            or not finite; nothing was seen; counts are below 1; labels do not fit; a step of one image is too little
            for BatchNorm.
    """
    own = observation.model.state_dict()
    _require_weights(observation, own)
    for name, value in observation.change.items():
        if name not in own or value.shape != own[name].shape:
            got = f"shape {tuple(value.shape)}"
            expected = f"shape {tuple(own[name].shape)}" if name in own else f"one of the {len(own)} names of the model"
            raise InversionError(f'update: entry "{name}" of {got} does not fit the architecture; expected {expected}')
        if not bool(torch.isfinite(value).all()):
            raise InversionError(f'update: entry "{name}" expected finite values; got NaN or infinity')
    if not observation.parameters:
        raise InversionError("update: expected the change of at least one parameter; got none (a masked round?)")
    if all(not bool(value.any()) for value in observation.parameters.values()):
        raise InversionError("update: expected a change that is not zero; got zeros in every parameter")
    for field in ("num_examples", "batch_size", "local_steps"):
        if getattr(observation, field) < 1:
            raise InversionError(f"observation: {field} expected 1 or more; got {getattr(observation, field)}")
    _require_labels(observation)
    _require_batches(observation)


def _require_weights(observation: Observation, own: Mapping[str, Tensor]) -> None:
    if not observation.weights:
        raise InversionError(
            "global weights: none are given; expected those that the round started from (recorded/<round>/"
            "global.weights.safetensors)"
        )
    wrong = [
        name
        for name in sorted(set(own) | set(observation.weights))
        if name not in own or name not in observation.weights or own[name].shape != observation.weights[name].shape
    ]
    if wrong:
        raise InversionError(
            f'global weights: entry "{wrong[0]}" is missing, unknown or of another shape ({len(wrong)} in all); '
            "expected the state dict of the given architecture; take both from the same run"
        )


def _require_labels(observation: Observation) -> None:
    labels = observation.labels
    if labels is None:
        return
    space = observation.image_shape[1:] if observation.task.kind == "segmentation" else ()
    expected = (observation.num_examples, *space)
    if labels.is_floating_point() or tuple(labels.shape) != expected:
        raise InversionError(
            f"labels: expected integers of shape {expected}; got {str(labels.dtype).removeprefix('torch.')} of shape "
            f"{tuple(labels.shape)}"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= observation.task.num_classes:
        raise InversionError(f"labels: expected 0..{observation.task.num_classes - 1}; got {int(labels.max())}")


def _require_batches(observation: Observation) -> None:
    """What a site could not have trained like either. The larger batches of a pass come first."""
    if observation.batch_norm == "frozen":
        return
    least, larger = divmod(observation.num_examples, observation.num_batches)
    alone = least == 1 and observation.local_steps > larger
    if alone and fewest_values(observation.model, observation.image_shape) == 1:
        raise InversionError(
            "observation: a step of one image, of which a BatchNorm layer sees one value per channel; expected 2 "
            'images or more in every step, or batch_norm "frozen"'
        )
