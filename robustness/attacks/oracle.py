"""The model behind one door: batches bounded by memory, precision, and a count of what was asked."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustness.attacks.contract import AttackError, Loss, View
from robustness.attacks.heads import Head
from robustness.attacks.layout import suits_channels_last, to_channels_last
from robustness.attacks.objective import Objective

Images = Float[Tensor, "batch channel *space"]
Scores = Float[Tensor, "batch choice unit"]
Precision = Literal["float32", "bfloat16"]

_NO_GRADIENT = (
    "the model's output has no gradient with respect to the image (a rounding, a detach or numpy in its forward?): "
    "expected a differentiable model; attack it without gradients (square, one_pixel)"
)

_INFERENCE_MODE = (
    "torch.inference_mode() is on, where torch takes no gradients: expected an attack outside of it; leave it, or use "
    "torch.no_grad() there"
)


class Oracle:
    """Scores and gradients of a model in eval mode.

    Attributes:
        forward_images: images passed forward so far.
        gradient_images: images passed backward so far.
    """

    def __init__(self, model: nn.Module, head: Head, batch_size: int, precision: Precision) -> None:
        self.model, self.head, self.batch_size, self.precision = model, head, batch_size, precision
        self.forward_images = 0
        self.gradient_images = 0
        self._channels_last = suits_channels_last(model)

    def exact(self, images: Images) -> Scores:
        """Scores in the model's own precision, without gradients."""
        with torch.no_grad():
            return torch.cat([self._scores(part) for part in torch.split(images, self.batch_size)])

    def scores(self, points: Images) -> Scores:
        """Scores in the precision of the search, without gradients."""
        with torch.no_grad():
            return torch.cat([self._fast(part) for part in torch.split(points, self.batch_size)])

    def gradients(
        self, points: Images, loss: Loss, objective: Objective, view: View | None = None
    ) -> tuple[Scores, Float[Tensor, " batch"], Images]:
        """Scores, losses, and the gradient of each image's loss by its own point (through ``view``).

        Raises:
            AttackError: there is no gradient with respect to the image, or torch is in inference mode.
        """
        if torch.is_inference_mode_enabled():
            raise AttackError(_INFERENCE_MODE)
        parts = []
        for first in range(0, len(points), self.batch_size):
            rows = slice(first, first + self.batch_size)
            parts.append(self._gradient(points[rows], loss, objective[rows], view))
        scores, losses, gradients = (torch.cat(column) for column in zip(*parts, strict=True))
        return scores, losses, gradients

    def _gradient(
        self, points: Images, loss: Loss, objective: Objective, view: View | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.enable_grad():
            points = points.detach().requires_grad_(True)
            shown = points if view is None else view(points)
            scores = self._differentiable(shown)
            losses = loss(scores, objective)
            if not losses.requires_grad:
                raise AttackError(_NO_GRADIENT)
            (gradient,) = torch.autograd.grad(losses.sum(), points, allow_unused=True)
        if gradient is None:
            raise AttackError(_NO_GRADIENT)
        self.gradient_images += len(points)
        return scores.detach(), losses.detach(), gradient.contiguous()

    def _differentiable(self, points: Images) -> Scores:
        """Scores with their graph; what the model can do only without one, it cannot be differentiated through."""
        try:
            return self._fast(points)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            with torch.no_grad():
                self._fast(points)
            cause = str(error).partition("\n")[0]
            raise AttackError(f"{_NO_GRADIENT}; its forward raised: {cause}") from error

    def _fast(self, points: Images) -> Scores:
        if self.precision == "float32":
            return self._scores(points)
        with torch.autocast(points.device.type, dtype=torch.bfloat16):
            return self._scores(points)

    def _scores(self, points: Images) -> Scores:
        shown = to_channels_last(points) if self._channels_last else points
        output = self.model(shown.clone())  # a model may standardise its input in place
        if not isinstance(output, Tensor):
            raise AttackError(
                f"the model returned {type(output).__name__}: expected one tensor of logits; wrap it in a module that "
                "returns the logits alone"
            )
        self.forward_images += len(points)
        return self.head.scores(output.to(torch.float32) if output.dtype != torch.float64 else output)


def saved_bytes(model: nn.Module, image: Images) -> int:
    """Bytes that autograd keeps for one image between forward and backward pass; 0 where it cannot differentiate."""
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        try:
            model(image.detach().clone().requires_grad_(True).clone())
        except RuntimeError:  # said, with the reason, by the first gradient that is asked for
            return 0
    return sum(sizes.values())
