"""What an attack is: it looks for points near the images that the model gets wrong, and keeps no rule itself.

An attack is a frozen plug-in that is called with a :class:`Search`. It asks the search to evaluate points and lets it
drop the images that are fooled; the search projects every point into the threat model before the model sees it,
records what fooled the model, and confirms it. So an attack can be weak, but it cannot cheat.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from medfed.errors import MedfedError
from robustness.attacks.objective import Objective
from robustness.attacks.threat import Norm, ThreatModel

Images = Float[Tensor, "batch channel *space"]
"""Images or volumes in the model's own input units; ``space`` is height width, or depth height width."""

Scores = Float[Tensor, "batch choice unit"]
"""The output of every head in one form: one score per choice, for every unit that is decided (see heads.py)."""

Loss = Callable[[Scores, Objective], Float[Tensor, " batch"]]
"""What an attack makes larger, one value per image."""


View = Callable[[Images], Images]
"""What an attack shows the model in place of the points (resized, shrunk in contrast); differentiable."""


class AttackError(MedfedError):
    """An attack cannot serve this model, head, threat model or data; the message says what would work."""


class SideEffectError(AttackError):
    """Weights, buffers, gradients or flags of the model are not what they were before the attack."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What the model says of some points, one row per image that is still in the search.

    Attributes:
        points: the points as the model saw them: inside the bound and the range.
        scores: the head's scores, detached.
        loss: the loss per image, detached; zeros where no loss was asked for.
        gradient: of each image's loss by its own point; zeros where no gradient was asked for.
        fooled: which images met the criterion at these points (confirmed in float32), now or earlier in this search.
    """

    points: Images
    scores: Scores
    loss: Float[Tensor, " batch"]
    gradient: Images
    fooled: Bool[Tensor, " batch"]


@runtime_checkable
class Search(Protocol):
    """What an attack may do. Rows are the images that are still in the search, always in the same order."""

    images: Tensor
    """The clean images of the rows."""
    objective: Objective
    """What each row is to be driven to."""
    clean_scores: Tensor
    """The scores of the clean images of the rows."""
    threat: ThreatModel
    """Bound, range and goal."""

    @property
    def num_active(self) -> int:
        """How many rows are left; an attack returns when there are none."""
        ...

    def project(self, points: Images) -> Images:
        """The nearest points inside the bound (by the usual clipping rule of the norm) and the range."""
        ...

    def random_points(self, generator: torch.Generator) -> Images:
        """A random point of the ball around each clean image, clipped to the range."""
        ...

    def evaluate(
        self,
        points: Images,
        loss: Loss | None = None,
        *,
        objective: Objective | None = None,
        gradient: bool = False,
        record: bool = True,
        view: View | None = None,
    ) -> Evaluation:
        """Project the points, run the model, and record which rows are fooled and the worst point of each.

        Args:
            points: one per row.
            loss: what to evaluate; needed for a gradient.
            objective: what the loss is told to aim at, default the search's own. Success never depends on it.
            gradient: whether to differentiate the loss.
            record: False for points that are not yet an answer (a universal perturbation under way).
            view: a differentiable change of the points before the model sees them; nothing is recorded then.

        Raises:
            AttackError: the output has no gradient with respect to the image, or is not finite.
        """
        ...

    def keep(self, *rows: Any) -> tuple[Any, ...]:
        """Drop the rows that are fooled from the search, and from every tensor or Objective that is handed in.

        Nothing is dropped where the run looks for the least distance (``stop_when_fooled=False``).
        """
        ...

    @property
    def dead(self) -> Bool[Tensor, " batch"]:
        """Rows for which some gradient of this run was exactly zero: a search without gradients may see more."""
        ...

    def part(self, rows: Bool[Tensor, " batch"]) -> "Search":
        """A search over some of the rows; what is fooled there leaves this one with its next :meth:`keep`."""
        ...

    def mark(self, stage: str) -> None:
        """Note how many rows are left after a stage of an ensemble; the result lists it."""
        ...

    def report(self, done: float) -> None:
        """Tell the progress callback the share of the attack's steps that are done, 0 to 1."""
        ...


@runtime_checkable
class Attack(Protocol):
    """An attack: hyper-parameters in the fields, ``__call__`` searches.

    Attributes:
        norms: the norms that it can serve.
        needs_gradient: whether it differentiates the model.
        minimises: it looks for the nearest fooled point by itself: its points are clipped to the range only, and those
            beyond eps do not count.
        whole_set: it needs all images in one search (one perturbation for all of them).
    """

    norms: ClassVar[tuple[Norm, ...]]
    needs_gradient: ClassVar[bool]
    minimises: ClassVar[bool]
    whole_set: ClassVar[bool]

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Search until no row is left or the attack's own steps are used up; results lie in the search.

        All randomness comes from ``generator``, which lives on the CPU.

        Raises:
            AttackError: it cannot serve this head or goal; the message says which attack can.
        """
        ...
