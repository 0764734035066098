"""What a Byzantine client is: how a site that belongs to an adversary departs from honest training.

The threat model. One adversary holds f of the n sites. It follows the protocol (it answers every message with tensors
of the right names, shapes and dtypes), knows the global model, the task and the training settings, and keeps no other
site from answering. What it sees of the others' updates is the scenario's choice (``adversary.knowledge``):

- ``colluders``: the updates that its own sites would have sent, had they trained honestly on their own images;
- ``everyone``: the updates that all honest sites send in this round.

A behaviour may depart in three places, each of which is nothing by default (:class:`robustness.byzantine.base.Base`):
the training images, the vector that is sent, the number of images that is claimed.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from medfed.types import ImageSet, Task

Vector = Float[Tensor, " value"]


@dataclass(frozen=True, eq=False)
class View:
    """What the adversary sees as it writes the update of one of its sites.

    Attributes:
        own: what this site's training came to: local minus global values, float32. After :meth:`Byzantine.poison`, on
            the poisoned images.
        known: honest updates, one per row, in the order of site names; empty unless the behaviour ``colludes``.
        num_sites: n, how many sites train in the federation.
        num_malicious: f, how many of them are the adversary's.
        round: from 1.
    """

    own: Vector
    known: Float[Tensor, "site value"]
    num_sites: int
    num_malicious: int
    round: int


@dataclass(frozen=True)
class Cast:
    """Who plays: ``num_malicious`` of ``num_sites``, and whose honest updates the adversary knows, ``num_known``."""

    num_sites: int
    num_malicious: int
    num_known: int


def alone(name: str, cast: Cast) -> str:
    """Why a behaviour that hides in the spread of the known updates does nothing with one of them; empty with more."""
    if cast.num_known > 1:
        return ""
    return f'{name} hides in the spread of known updates: expected two or more, or knowledge = "everyone"; got 1'


@runtime_checkable
class Byzantine(Protocol):
    """A behaviour. All randomness is the generator's; nothing is remembered between rounds; no argument is written to.

    ``colludes`` says whether it reads ``view.known``, which costs one honest training per known site.
    """

    @property
    def colludes(self) -> bool:
        """Whether the honest updates of others are needed."""
        ...

    def misfit(self, task: Task, cast: Cast) -> str:
        """Why the behaviour cannot serve ``task``, or does nothing with such a cast; empty where it can."""
        ...

    def poison(self, images: ImageSet, task: Task, generator: np.random.Generator) -> ImageSet:
        """The images on which the site trains, in place of its own training ``images``; the same in every round."""
        ...

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """What is sent in place of ``view.own``, as long as it.

        It is called once for the floating-point values of the model, buffers included, and once for each group of extra
        tensors of the strategy (such as control variates).
        """
        ...

    def claim(self, num_examples: int) -> int:
        """How many images the site says it has, where ``num_examples`` would be true."""
        ...
