"""Loss and gradient of one candidate: distance of the simulated change from the seen one, plus priors."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad_and_value

from privacy.inversion.distance import DISTANCES, without_zeros
from privacy.inversion.local_steps import tensors
from privacy.inversion.observation import Observation
from privacy.inversion.priors import pass_mismatch, statistics_mismatch, total_variation
from privacy.inversion.schedule import Schedule, schedule_of
from privacy.inversion.simulation import Simulation
from privacy.inversion.targets import soft_loss
from privacy.inversion.terms import Terms

Gradients = tuple[Tensor, Tensor]
Values = tuple[Tensor, Tensor]
Function = Callable[[Tensor, Tensor, Tensor], tuple[Gradients, Values]]
"""(images, label logits, weights of the priors) -> (gradients by images and by label logits, (loss, distance))."""

SMOOTHING = 0.1
"""Of AdamW's denominator during a search; the end check uses none."""


class Objective:
    """What the search makes small, for one observation and one precision.

    Args:
        observation: what was seen.
        targets: fixed targets, one row per slot; None: label logits are searched.
        dtype: numbers to compute in.
        smoothing: of AdamW, see :func:`.local_steps.step_of`.
    """

    def __init__(
        self, observation: Observation, targets: Tensor | None, dtype: torch.dtype, smoothing: float = SMOOTHING
    ) -> None:
        loss, counts = observation.loss, observation.class_counts
        of_soft = soft_loss(loss) if targets is None else None

        def loss_of(logits: Tensor, given: Tensor) -> Tensor:
            return of_soft(logits, given, counts) if of_soft is not None else loss(logits, given, counts)

        self.schedule: Schedule = schedule_of(observation)
        self._simulation = Simulation(observation, loss_of, dtype, smoothing)
        self._targets, self._dtype = targets, dtype
        self._seen = tensors(observation.parameters, dtype)
        self._before, self._change = tensors(observation.weights, dtype), tensors(observation.change, dtype)
        self._shares = self._simulation.shares

    def values(
        self, images: Tensor, logits: Tensor, weights: Tensor, terms: Terms, vectorised: bool = True
    ) -> tuple[Tensor, Tensor]:
        """(distance + priors, distance) of one restart; ``weights`` are those of the priors, see :func:`weights_of`."""
        targets = torch.softmax(logits, dim=1) if self._targets is None else self._targets
        watch = bool(terms.batch_norm and self._shares)
        change, running = self._simulation(images, targets, self.schedule, watch=watch, vectorised=vectorised)
        if terms.mask_zeros:
            change = without_zeros(change, self._seen)
        distance = DISTANCES[terms.distance](change, self._seen)
        total = distance
        if terms.total_variation:
            total = total + weights[0] * total_variation(images)
        if watch:
            steps = len(self.schedule.steps)
            total = total + weights[1] * statistics_mismatch(running, self._before, self._change, self._shares, steps)
        if terms.passes and len(self.schedule.passes) > 1:
            total = total + weights[2] * pass_mismatch(images, self.schedule)
        return total, distance

    def function(self, terms: Terms) -> Function:
        """Loss and gradients in one call. Only which weights are zero is read from ``terms``, not their values."""

        def value(images: Tensor, logits: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
            return self.values(images, logits, weights, terms)

        def both(images: Tensor, logits: Tensor, weights: Tensor) -> tuple[Gradients, Values]:
            gradients, (total, distance) = grad_and_value(value, argnums=(0, 1), has_aux=True)(images, logits, weights)
            return gradients, (total.detach(), distance.detach())

        return both

    def plain_function(self, terms: Terms) -> Function:
        """The same by plain autograd, which is faster for one restart; vmap and torch.compile cannot take it."""

        def both(images: Tensor, logits: Tensor, weights: Tensor) -> tuple[Gradients, Values]:
            points = images.detach().requires_grad_(), logits.detach().requires_grad_()
            total, distance = self.values(*points, weights, terms, vectorised=False)
            by_images, by_logits = torch.autograd.grad(total, points, materialize_grads=True, allow_unused=True)
            return (by_images, by_logits), (total.detach(), distance.detach())

        return both

    def distance(self, images: Tensor, logits: Tensor) -> float:
        """The distance alone, by cosine."""
        with torch.no_grad():
            none = torch.zeros(3, dtype=self._dtype)
            return float(self.values(images.to(self._dtype), logits, none, Terms())[1])


def weights_of(terms: Terms, dtype: torch.dtype) -> Float[Tensor, " prior"]:
    """Weights of total variation, BatchNorm statistics and passes."""
    return torch.tensor([terms.total_variation, terms.batch_norm, terms.passes], dtype=dtype)
