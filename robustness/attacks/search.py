"""The search that an attack is handed: it projects, evaluates, records and lets fooled images leave."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robustness.attacks.contract import AttackError, Evaluation, Loss, View
from robustness.attacks.criteria import Criterion
from robustness.attacks.objective import Objective
from robustness.attacks.oracle import Oracle
from robustness.attacks.projection import Bounds, allowed, distance, project, random_points
from robustness.attacks.threat import ThreatModel

Images = Float[Tensor, "batch channel *space"]
Rows = Int[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class Record:
    """The worst point found for every image, over all restarts; rows are those of the whole set.

    Attributes:
        points: the clean image where nothing worse was found.
        success: fooled within the bound.
        damage: of the point, by the criterion.
        distance: of the point, in units of eps.
        dead: some gradient was exactly zero before the image was fooled.
        nonfinite: some gradient had a NaN or infinite entry.
        left: images that were left after each stage of an ensemble.
    """

    points: Images
    success: Bool[Tensor, " batch"]
    damage: Float[Tensor, " batch"]
    distance: Float[Tensor, " batch"]
    dead: Bool[Tensor, " batch"]
    nonfinite: Bool[Tensor, " batch"]
    left: dict[str, int] = field(default_factory=dict)

    def update(self, rows: Rows, found: "Record", nearest: bool) -> None:
        """Take the points that are worse: fooled before not fooled, then nearer (``nearest``) or more damage."""
        success, before = found.success, self.success[rows]
        further = found.damage > self.damage[rows]
        better = found.distance < self.distance[rows] if nearest else further
        take = (success & ~before) | (success & before & better) | (~success & ~before & further)
        chosen = rows[take]
        for name in ("points", "success", "damage", "distance"):
            getattr(self, name)[chosen] = getattr(found, name)[take]
        self.dead[rows] |= found.dead
        self.nonfinite[rows] |= found.nonfinite


class ActiveSearch:
    """The search over some rows of the set; see the contract for what an attack may do with it.

    Attributes:
        rows: which images of the whole set are still in the search.
    """

    def __init__(
        self,
        oracle: Oracle,
        criterion: Criterion,
        threat: ThreatModel,
        record: Record,
        rows: Rows,
        images: Images,
        objective: Objective,
        clean_scores: Tensor,
        *,
        minimises: bool,
        stop_when_fooled: bool,
        progress: Callable[[float], None],
    ) -> None:
        self.oracle, self.criterion, self.threat, self.record = oracle, criterion, threat, record
        self.rows, self.images, self.objective, self.clean_scores = rows, images, objective, clean_scores
        self.report = progress
        self._bounds = Bounds.of(threat, images)
        self._reach = Bounds.of(threat.replace(eps=float("inf")), images) if minimises else self._bounds
        self._nearest = minimises
        self._stop = stop_when_fooled

    @property
    def num_active(self) -> int:
        """How many rows are left."""
        return len(self.rows)

    @property
    def dead(self) -> Bool[Tensor, " batch"]:
        """Rows with a gradient of exactly zero."""
        return self.record.dead[self.rows]

    def project(self, points: Images) -> Images:
        """Into the bound and the range; for an attack that looks for the least distance, into the range."""
        return project(points, self.images, self._reach)

    def random_points(self, generator: torch.Generator) -> Images:
        """A random point around each clean image."""
        return random_points(self.images, self._bounds, generator)

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
        """Project, run, record; see the contract."""
        points = self.project(points.detach())
        aim = self.objective if objective is None else objective
        slopes = torch.zeros_like(points)
        values = torch.zeros(len(points), dtype=points.dtype, device=points.device)
        if gradient:
            if loss is None:
                raise ValueError("a gradient needs a loss")
            scores, values, slopes = self.oracle.gradients(points, loss, aim, view)
        else:
            scores = self.oracle.scores(points if view is None else view(points))
            values = loss(scores, aim) if loss is not None else values
        dead, nonfinite = self._faults(slopes, gradient)
        if record and view is None:
            self._note(points, scores, dead, nonfinite)
        elif gradient:
            self._note_faults(scores, dead, nonfinite)
        return Evaluation(points, scores, values, slopes.nan_to_num_(0.0, 0.0, 0.0), self._fooled())

    def keep(self, *rows: Any) -> tuple[Any, ...]:
        """Drop what is fooled; see the contract."""
        left = ~self._fooled()
        if not self._stop or bool(left.all()):
            return rows
        self.rows, self.images, self.clean_scores = self.rows[left], self.images[left], self.clean_scores[left]
        self.objective = self.objective[left]
        return tuple(part[left] for part in rows)

    def part(self, rows: Bool[Tensor, " batch"]) -> "ActiveSearch":
        """A search over some of the rows."""
        inner = copy(self)
        inner.rows, inner.images, inner.clean_scores = self.rows[rows], self.images[rows], self.clean_scores[rows]
        inner.objective = self.objective[rows]
        return inner

    def mark(self, stage: str) -> None:
        """Add the rows that are left to the stage's count."""
        self.record.left[stage] = self.record.left.get(stage, 0) + self.num_active

    def _fooled(self) -> Bool[Tensor, " batch"]:
        return self.record.success[self.rows]

    def _faults(self, slopes: Images, gradient: bool) -> tuple[Tensor, Tensor]:
        """Rows whose gradient is exactly zero, and rows where it is not finite."""
        if not gradient:
            none = torch.zeros(len(slopes), dtype=torch.bool, device=slopes.device)
            return none, none
        largest = slopes.flatten(1).abs().amax(dim=1)  # NaN wins every maximum
        return largest == 0, ~largest.isfinite()

    def _note(self, points: Images, scores: Tensor, dead: Tensor, nonfinite: Tensor) -> None:
        if not bool(scores.isfinite().all()):
            raise AttackError(
                "the model's output is not finite for a point inside the range: expected finite logits; check the "
                "range of the threat model and the model's weights"
            )
        success = self.criterion.success(scores, self.objective)
        damage = self.criterion.damage(scores, self.objective)
        success = self._confirmed(points, success) & allowed(points, self.images, self._bounds)
        far = distance(points, self.images, self._bounds)
        found = Record(points, success, damage, far, dead & ~success, nonfinite)
        if self._nearest:  # a point beyond eps is no answer, however much damage it does
            found = Record(points, success, damage.where(success, -torch.inf), far, dead & ~success, nonfinite)
        self.record.update(self.rows, found, nearest=self._nearest)

    def _note_faults(self, scores: Tensor, dead: Tensor, nonfinite: Tensor) -> None:
        """Of points that are no answer; a model that is wrong about what it is shown may have no slope left."""
        self.record.dead[self.rows] |= dead & ~self.criterion.success(scores, self.objective)
        self.record.nonfinite[self.rows] |= nonfinite

    def _confirmed(self, points: Images, success: Bool[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
        """A search in bfloat16 finds candidates; only float32 may call one a success."""
        if self.oracle.precision == "float32" or not bool(success.any()):
            return success
        exact = self.criterion.success(self.oracle.exact(points[success]), self.objective[success])
        return success.masked_scatter(success, exact)
