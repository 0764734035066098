"""Opacus's hooks: one backward pass, and a rule per kind of layer (Yousefpour et al., arXiv:2109.12298)."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from privacy.training.backends.contract import SampleLoss, trained
from privacy.training.backends.opacus_module import per_sample_of, wrapped
from privacy.training.clipping import Clipper, chunked_clipper


@contextmanager
def hooks(model: nn.Module, loss: SampleLoss, chunk: int) -> Iterator[Clipper]:
    """Hooks are in the model until the end."""
    with wrapped(model, "hooks") as module:
        yield chunked_clipper(per_sample_of(module, model, loss), trained(model), chunk)
