"""A model, its images and labels as torchattacks takes them: [0, 1], four axes, class logits, int64 labels."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from robustness.attacks.heads import Head
from robustness.attacks.objective import ANY, Objective

IGNORED = -100
"""The label that torch's cross-entropy leaves out of its mean: units that are unknown or not part of the goal."""

Images = Float[Tensor, "batch channel *space"]
Points = Float[Tensor, "batch shown tall wide"]


@dataclass(frozen=True, eq=False)
class Frame:
    """How images become points in [0, 1] and back.

    A volume is shown as one tall image (depth times height, width); a grey image, where three channels are asked
    for, as the first of three, so that the kernels that torchattacks writes for colour act on it alone.

    Attributes:
        low: least value of the model's input, broadcasting over images.
        width: of its range.
        shape: channel and space of one image.
        colour: show three channels.
    """

    low: Tensor
    width: Tensor
    shape: tuple[int, ...]
    colour: bool

    def points(self, images: Images) -> Points:
        """Images as torchattacks sees them."""
        unit = ((images - self.low) / self.width).clamp(0.0, 1.0)
        flat = unit.reshape(len(images), self.shape[0], -1, self.shape[-1])
        return flat.expand(-1, 3, -1, -1).contiguous() if self.colour and self.shape[0] == 1 else flat

    def images(self, points: Points) -> Images:
        """Points as the model reads them; differentiable."""
        return self.low + points[:, : self.shape[0]].reshape(len(points), *self.shape) * self.width


class Presented(nn.Module):
    """The model between a frame and a head: points in, logits (batch, choice) or (batch, choice, unit) out.

    One logit comes out as two classes [-z/2, z/2]; a mask or several findings as one two-class decision per unit,
    over which torch's cross-entropy takes its mean. All logits are divided by ``scale``, which changes no decision.

    Attributes:
        forward_images: images passed forward so far.
        gradient_images: of these, those that were differentiated.
    """

    def __init__(self, model: nn.Module, head: Head, frame: Frame, scale: float, lifted: bool) -> None:
        super().__init__()
        self.model, self.head, self.frame = model, head, frame
        self.scale, self.lifted = scale, lifted
        # torchattacks asks the first parameter for the device, and 3.3.0 fails where there is none
        self.anchor = nn.Parameter(torch.zeros((), device=frame.low.device), requires_grad=False)
        self.forward_images = 0
        self.gradient_images = 0

    def forward(self, points: Points) -> Tensor:
        """Logits of the points."""
        self.forward_images += len(points)
        self.gradient_images += len(points) if points.requires_grad else 0
        scores = self.head.scores(self.model(self.frame.images(points))) / self.scale
        if self.lifted:
            scores = scores - scores.amin(dim=1, keepdim=True).detach()
        return scores[:, :, 0] if scores.shape[2] == 1 else scores


def class_labels(objective: Objective, num_choices: int, next_class: bool) -> tuple[Int[Tensor, "..."], bool]:
    """The labels as int64, (batch,) or (batch, unit), and whether they are choices to reach.

    Units that do not count become :data:`IGNORED`.

    Args:
        objective: labels, targets and active units.
        num_choices: per unit.
        next_class: for an attack that needs a target: the class after the label where the goal names none.
    """
    targeted = bool((objective.targets[objective.active] != ANY).any())
    chosen = objective.targets if targeted else objective.labels
    if next_class and not targeted:
        chosen, targeted = (chosen + 1) % num_choices, True
    labels = torch.where(objective.active, chosen, IGNORED)
    return (labels[:, 0] if labels.shape[1] == 1 else labels), targeted
