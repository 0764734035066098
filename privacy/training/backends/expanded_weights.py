"""Opacus on torch's expanded weights: the rules per layer are torch's own, for fewer layers."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from privacy.training.backends.contract import SampleLoss, trained
from privacy.training.backends.opacus_module import per_sample_of, wrapped
from privacy.training.clipping import Clipper, chunked_clipper


@contextmanager
def expanded_weights(model: nn.Module, loss: SampleLoss, chunk: int) -> Iterator[Clipper]:
    """The wrapper is around the model until the end."""
    with wrapped(model, "ew") as module:
        yield chunked_clipper(per_sample_of(module, model, loss), trained(model), chunk)
