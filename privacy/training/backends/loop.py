"""One backward pass per image: the slowest, works with every model, and is what the others are checked against."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from privacy.training.backends.contract import SampleLoss, trained
from privacy.training.clipping import Clipper, Inputs, PerSample, Targets, chunked_clipper


@contextmanager
def loop(model: nn.Module, loss: SampleLoss, chunk: int) -> Iterator[Clipper]:
    """Nothing is hung into the model."""
    yield chunked_clipper(one_by_one(model, loss), trained(model), chunk)


def one_by_one(model: nn.Module, loss: SampleLoss) -> PerSample:
    """Gradients by one backward pass each."""

    def per_sample(inputs: Inputs, targets: Targets) -> tuple[dict[str, Tensor], Tensor]:
        parameters = trained(model)
        rows, losses = [], []
        for place in range(len(inputs)):
            one = slice(place, place + 1)
            value = loss(model(inputs[one]), targets[one])
            rows.append(torch.autograd.grad(value, list(parameters.values()), materialize_grads=True))
            losses.append(value.detach())
        columns = zip(*rows, strict=True)
        return {name: torch.stack(column) for name, column in zip(parameters, columns, strict=True)}, torch.stack(
            losses
        )

    return per_sample
