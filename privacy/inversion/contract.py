"""What an inversion attack is: it looks for images that explain a change of weights, and keeps no rule itself.

An attack is a frozen plug-in that is called with a :class:`Search`. It asks the search to evaluate candidates; the
search keeps them in [0, 1], simulates the site's training with them, compares the outcome with what was seen, and
remembers the best. So an attack can be weak, but neither its images nor its loss can be other than they are said to be.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from privacy.inversion.observation import Observation
from privacy.inversion.terms import Terms

Stopped = Literal["finished", "converged", "iterations", "seconds", "asked"]
"""Why a search ended: the attack's own end; the loss fell below the goal; a limit of the settings; the caller."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What an attack found, in an order of its own: match before comparing (:mod:`privacy.measures.matching`).

    Attributes:
        images: (examples, channel, *space), float32 in [0, 1].
        labels: classes (examples,) or masks (examples, *space), int64: those given, or the attacker's own.
        loss: cosine distance (0 to 2) between the change that was seen and the one that these images and labels give,
            computed in float32 after the search, the same measure for every attack; NaN where no change can be
            simulated.
        trajectory: (iteration, smallest loss so far) of the search, in the attack's own loss.
        iterations: evaluations, all restarts of one iteration counted once.
        stopped: why it ended.
        cpu_seconds: processor time of this process.
    """

    images: Float[Tensor, "examples channel *space"]
    labels: Int[Tensor, "examples ..."]
    loss: float
    trajectory: tuple[tuple[int, float], ...]
    iterations: int
    stopped: Stopped
    cpu_seconds: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What some candidates are worth.

    Attributes:
        loss: per restart: distance plus priors, detached.
        images: gradient by the images, shaped like them.
        labels: gradient by the label logits, shaped like them; zeros where the labels are known.
    """

    loss: Float[Tensor, " restart"]
    images: Float[Tensor, "restart slot channel *space"]
    labels: Float[Tensor, "restart slot class *grid"]


@runtime_checkable
class Search(Protocol):
    """What an attack may do.

    Candidates have a leading axis of restarts, then one *slot* per image and pass over the data: where a pass is a
    single batch the order of images does not matter and every pass uses the same slots.
    """

    observation: Observation
    """What was seen."""

    def iterations(self, own: int) -> int:
        """How many iterations an attack that asks for ``own`` may plan with."""
        ...

    def start(self, restarts: int, generator: torch.Generator, *, search_labels: bool = False) -> tuple[Tensor, Tensor]:
        """Random images in [0, 1], and logits of the labels.

        Unknown classes are counted from the update (:mod:`.labels`) and then fixed, unless ``search_labels``; unknown
        masks are always searched. Where labels are fixed their logits have no effect.
        """
        ...

    def evaluate(self, images: Tensor, labels: Tensor, terms: Terms) -> Evaluation:
        """Loss and gradients of candidates, after clipping to [0, 1]; the best so far are remembered."""
        ...

    @property
    def running(self) -> bool:
        """False when the attack must return: a limit is reached, or the caller asked."""
        ...

    def report(self, done: float) -> None:
        """Tell the progress callback the share of the attack's work that is done, 0 to 1."""
        ...


@runtime_checkable
class Inversion(Protocol):
    """An attack: hyper-parameters in the fields, ``__call__`` searches.

    Attributes:
        precision: in which numbers it computes; the end check is in float32 in any case.
    """

    precision: ClassVar[Literal["float32", "float64"]]

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Search until its own work is done or ``search.running`` is False; results lie in the search.

        All randomness comes from ``generator``, which lives on the CPU.

        Raises:
            InversionError: it cannot serve this task; the message says which attack can.
        """
        ...
