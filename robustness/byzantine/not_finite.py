"""Updates that are no numbers: one of them makes the plain mean, and the global model, the same."""

import numpy as np
import torch

from medfed.registry import plugin
from robustness.byzantine.base import Base
from robustness.byzantine.contract import Vector, View


def one_bad_value(own: Vector, value: float, generator: np.random.Generator) -> Vector:
    """``own`` with ``value`` in one place, drawn at random."""
    sent = own.clone()
    sent[int(generator.integers(len(own)))] = value
    return sent


@plugin
class NaN(Base):
    """The honest update with one NaN in it."""

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """One value is not a number."""
        return one_bad_value(view.own, torch.nan, generator)


@plugin
class Inf(Base):
    """The honest update with one infinite value in it."""

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """One value is infinite."""
        return one_bad_value(view.own, torch.inf, generator)
