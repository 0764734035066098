"""The set under attack: checked, scored clean, and with the worst point found so far for every image."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from robustness.attacks.contract import Attack, AttackError
from robustness.attacks.criteria import Criterion, objective_for
from robustness.attacks.heads import Head
from robustness.attacks.objective import Objective
from robustness.attacks.oracle import Oracle, saved_bytes
from robustness.attacks.projection import Bounds, allowed, distance
from robustness.attacks.result import AttackResult
from robustness.attacks.search import ActiveSearch, Record
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel

Images = Num[Tensor, "batch channel *space"]
PerImage = Float[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class Bench:
    """The whole set with its objective, what the clean images score, and the record of the worst points."""

    oracle: Oracle
    criterion: Criterion
    threat: ThreatModel
    images: Images
    objective: Objective
    clean_scores: Tensor
    clean_success: Bool[Tensor, " batch"]
    clean_damage: PerImage
    record: Record
    random_forward: bool

    @classmethod
    def of(
        cls,
        model: nn.Module,
        images: Images,
        labels: Tensor,
        threat: ThreatModel,
        head: Head,
        criterion: Criterion,
        settings: RunSettings,
    ) -> "Bench":
        """Check images and labels and score the clean images, in float32."""
        images = _on_device(images, model)
        labels = labels.to(images.device)
        _require_images(images, threat)
        _require_one_type(model, images)
        batch = min(settings.batch_size, max(1, settings.max_bytes // max(1, saved_bytes(model, images[:1]))))
        oracle = Oracle(model, head, batch, settings.precision)
        state = torch.get_rng_state()
        scores = oracle.exact(images)
        drew = not torch.equal(state, torch.get_rng_state())
        if not bool(scores.isfinite().all()):
            row = int((~scores.isfinite().flatten(1).all(dim=1)).nonzero()[0, 0])
            raise AttackError(f"output for clean image {row}: expected finite logits; got NaN or infinite ones")
        objective = objective_for(head, criterion, threat, labels, images, scores)
        success, damage = criterion.success(scores, objective), criterion.damage(scores, objective)
        none = torch.zeros_like(success)
        far = distance(images, images, Bounds.of(threat, images))
        record = Record(images.clone(), success.clone(), damage.clone(), far, none.clone(), none.clone())
        return cls(oracle, criterion, threat, images, objective, scores, success, damage, record, drew)

    @property
    def eligible(self) -> Bool[Tensor, " batch"]:
        """Images with a unit that the goal is about."""
        return self.objective.active.any(dim=1)

    def search(
        self, rows: Tensor, attack: Attack, settings: RunSettings, progress: Callable[[float], None]
    ) -> ActiveSearch:
        """A search over some rows of the set."""
        return ActiveSearch(
            self.oracle,
            self.criterion,
            self.threat,
            self.record,
            rows,
            self.images[rows],
            self.objective[rows],
            self.clean_scores[rows],
            minimises=attack.minimises,
            stop_when_fooled=settings.stop_when_fooled and not attack.whole_set,
            progress=progress,
        )

    def judge(self, points: Images) -> float:
        """Record one point per image where it is inside the bound; returns the share of those that are not."""
        bounds = Bounds.of(self.threat, self.images)
        inside = allowed(points, self.images, bounds)
        rows = (self.eligible & ~self.clean_success & inside).nonzero()[:, 0]
        if len(rows):
            scores, aim = self.oracle.exact(points[rows]), self.objective[rows]
            success, damage = self.criterion.success(scores, aim), self.criterion.damage(scores, aim)
            far, none = distance(points[rows], self.images[rows], bounds), torch.zeros_like(success)
            self.record.update(rows, Record(points[rows], success, damage, far, none, none), nearest=False)
        return float((~inside).sum()) / len(inside)

    def result(self, started: float) -> AttackResult:
        """The record, every success checked once more in float32 and against the bounds."""
        success, damage = self.record.success.clone(), self.record.damage.clone()
        attacked = self.eligible & ~self.clean_success
        again = (success & attacked) if self.oracle.precision == "float32" else attacked
        rows = again.nonzero()[:, 0]
        if len(rows):
            scores, aim = self.oracle.exact(self.record.points[rows]), self.objective[rows]
            within = allowed(self.record.points[rows], self.images[rows], Bounds.of(self.threat, self.images))
            success[rows] = self.criterion.success(scores, aim) & within
            damage[rows] = self.criterion.damage(scores, aim)
        claimed = self.record.success & ~success
        distances = torch.where(success, self.record.distance, math.nan)
        return AttackResult(
            eligible=self.eligible,
            clean_success=self.clean_success & self.eligible,
            success=success & self.eligible,
            adversarial=self.record.points,
            distances=torch.where(self.clean_success, 0.0, distances),
            clean_damage=self.clean_damage,
            damage=damage,
            forward_images=self.oracle.forward_images,
            gradient_images=self.oracle.gradient_images,
            cpu_seconds=time.process_time() - started,
            flags={
                "zero_gradient": _share(self.record.dead, attacked),
                "nonfinite_gradient": _share(self.record.nonfinite, attacked),
                "unconfirmed": _share(claimed, attacked),
                "random_forward": float(self.random_forward),
            },
            left=dict(self.record.left),
        )


def _share(part: Tensor, whole: Tensor) -> float:
    count = int(whole.sum())
    return float((part & whole).sum()) / count if count else 0.0


def _on_device(images: Images, model: nn.Module) -> Images:
    for tensor in (*model.parameters(), *model.buffers()):
        return images.detach().to(tensor.device)
    return images.detach()


def _require_one_type(model: nn.Module, images: Images) -> None:
    """Refuse a model in other numbers than the images: images in double, or a model in half precision.

    Raises:
        AttackError: names the parameter, and which of the two to change.
    """
    for name, value in model.named_parameters():
        if value.is_floating_point() and value.dtype != images.dtype:
            if value.dtype == torch.float32:
                raise AttackError(
                    f'images: expected {value.dtype}, as the parameter "{name}" of the model; got {images.dtype}; use '
                    "images.float()"
                )
            raise AttackError(
                f'model: expected parameters of {images.dtype}, as the images; got {value.dtype} in "{name}"; use '
                'model.float(), and precision = "bfloat16" for speed'
            )


def _require_images(images: Images, threat: ThreatModel) -> None:
    """Refuse images that are not floats inside the threat model's range.

    Raises:
        AttackError: names the first channel, the range found and what to do.
    """
    if not images.is_floating_point() or images.ndim < 3 or not len(images):
        raise AttackError(
            f"images: expected at least one float image (batch, channel, *space); got {images.dtype} of shape "
            f"{tuple(images.shape)}; divide grey levels by their maximum first"
        )
    for name in ("low", "high", "per_unit"):
        value = getattr(threat, name)
        if isinstance(value, tuple) and len(value) not in (1, images.shape[1]):
            raise AttackError(
                f"threat model: {name} expected one value or {images.shape[1]}, one per channel of the images; got "
                f"{len(value)}"
            )
    wide = replace(Bounds.of(threat, images), eps=math.inf)
    if not bool(allowed(images, images, wide).all()) or not bool(images.isfinite().all()):
        raise AttackError(
            f"images: expected values from {threat.low} to {threat.high}; got {float(images.min()):g} to "
            f"{float(images.max()):g}; give the threat model the range and units of the model's input "
            "(ThreatModel.z_scored for standardised images)"
        )
