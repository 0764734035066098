"""Local training of several sites at once: their weights stacked, one forward and one backward pass for all of them.

The forward pass is ``torch.func.vmap`` of the model over the stacked weights. The losses, one per site, are summed:
the weights of a site stand in its own loss only, so that the gradient of the sum holds each site's own gradient, and
an optimizer that works value by value makes each site's own step. Batches, transforms and random streams are those of
:mod:`medfed.training.local`; results differ from it by the order of summation within a layer, nothing else.

Sites may differ in size. A batch that is smaller than the largest is filled up with its own images, whose outputs are
cut off before the loss; a site that has fewer steps is copied out after its last, and what becomes of its place in the
stack is not read. Both cost time: sites of one size gain most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from medfed.config import Scenario
from medfed.models.entries import freeze_batch_norm, parameter_names
from medfed.training.local import lr_scale, steps_per_round, training_batches
from medfed.training.predictions import device_of
from medfed.types import ImageSet, Weights

_Batch = tuple[Tensor, Tensor]
"""Images (batch, channel, height, width) and targets (batch, ...); each site's batch has a size of its own."""


@dataclass(frozen=True, eq=False)
class SiteJob:
    """A site, its training images, and the weights that it starts from, buffers included."""

    site: str
    images: ImageSet
    weights: Weights


@dataclass(frozen=True, eq=False)
class SiteOutcome:
    """A site's weights after its last step, buffers included; the sum of the losses of its steps, maybe not finite."""

    weights: Weights
    num_steps: int
    total_loss: float


def train_batched(
    model: nn.Module, jobs: Sequence[SiteJob], scenario: Scenario, round_number: int
) -> list[SiteOutcome]:
    """Train all ``jobs`` for one round; one outcome for each, in their order.

    Args:
        model: gives the architecture; neither its weights nor its buffers are read or changed. Its output for an image
            must depend on nothing but this image and the weights.
        jobs: one or more sites.
        scenario: as in :func:`medfed.training.local.train_local`; its optimizer must be ``elementwise``.
        round_number: 1..rounds.
    """
    training, device = scenario.training, device_of(model)
    stacked = _stack(model, [job.weights for job in jobs])
    parameters = [value for value in stacked.values() if isinstance(value, nn.Parameter)]
    optimizer = training.optimizer(parameters, lr_scale(training, round_number))
    counts = [torch.tensor(job.images.class_counts(len(scenario.task.classes))) for job in jobs]
    num_steps = [steps_per_round(training, len(job.images)) for job in jobs]
    totals = torch.zeros(len(jobs), dtype=torch.float64, device=device)
    finished: list[Weights] = [{} for _ in jobs]
    model.train()
    if scenario.federation.batch_norm == "frozen":
        freeze_batch_norm(model)
    streams = [
        training_batches(job.images, scenario, job.site, round_number, steps)
        for job, steps in zip(jobs, num_steps, strict=True)
    ]
    for step, given in enumerate(_rounds_of(streams), start=1):
        optimizer.zero_grad(set_to_none=True)
        logits = _forward(model, stacked, given)
        losses = {
            place: training.loss(logits[place, : len(targets)].float(), targets.to(device), counts[place])
            for place, (_, targets) in enumerate(given)
            if step <= num_steps[place]
        }
        torch.autograd.backward(list(losses.values()))
        optimizer.step()
        for place, loss in losses.items():
            totals[place] += loss.detach()
            if step == num_steps[place]:
                finished[place] = {name: value[place].detach().to("cpu", copy=True) for name, value in stacked.items()}
    return [SiteOutcome(*parts) for parts in zip(finished, num_steps, totals.tolist(), strict=True)]


def _stack(model: nn.Module, weights: Sequence[Weights]) -> Weights:
    """Name -> (site, ...), on the model's device; what the model trains is a parameter."""
    device = device_of(model)
    stacked = {name: torch.stack([of_site[name] for of_site in weights]).to(device) for name in weights[0]}
    trained = parameter_names(model)
    return {name: nn.Parameter(value) if name in trained else value for name, value in stacked.items()}


def _rounds_of(streams: Sequence[Iterator[_Batch]]) -> Iterator[list[_Batch]]:
    """The next batch of every site, until all have ended; one that ended gives its last again."""
    last: list[_Batch] = []
    for step in zip_longest(*streams):
        last = [given or last[place] for place, given in enumerate(step)]
        yield last


def _forward(model: nn.Module, stacked: Weights, given: Sequence[_Batch]) -> Float[Tensor, "site batch output ..."]:
    """Logits of every site's batch under its own weights."""
    size = max(len(targets) for _, targets in given)
    filled = torch.stack([inputs[torch.arange(size) % len(inputs)] for inputs, _ in given]).to(device_of(model))

    def one_site(weights: Weights, inputs: Tensor) -> Tensor:
        logits: Tensor = functional_call(model, weights, (inputs,))
        return logits

    logits: Tensor = vmap(one_site)(stacked, filled)
    return logits
