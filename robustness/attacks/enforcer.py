"""The only way to run an attack: it owns the model, the rules and the verdict on every image."""

import math
import time
from collections.abc import Callable
from dataclasses import replace

from jaxtyping import Float, Num
from torch import Tensor, nn

from medfed.registry import name_of, table
from medfed.rng import torch_generator
from robustness.attacks.bench import Bench
from robustness.attacks.contract import Attack, AttackError
from robustness.attacks.criteria import Criterion, default_criterion
from robustness.attacks.guard import untouched
from robustness.attacks.heads import Head
from robustness.attacks.layout import channels_last
from robustness.attacks.result import AttackResult
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel

Images = Num[Tensor, "batch channel *space"]
PerImage = Float[Tensor, " batch"]
Progress = Callable[[str, float], None]

_COPIES = 16
"""Tensors of the size of the images that an attack and its search hold at once; APGD, the greediest, holds 12."""


def run_attack(
    model: nn.Module,
    images: Images,
    labels: Tensor,
    *,
    attack: Attack,
    threat: ThreatModel,
    head: Head,
    criterion: Criterion | None = None,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
) -> AttackResult:
    """Attack ``images`` and say which of them no longer count as right.

    Args:
        model: maps images to the logits that ``head`` reads; left byte for byte as it was.
        images: inside the range of ``threat``.
        labels: in the form of ``head``.
        attack: what to run.
        threat: bound, range and goal.
        head: how to read the output.
        criterion: when an image counts as fooled; default: wrong class, any finding, in segmentation as the goal asks.
        settings: seed, restarts, memory, precision.
        progress: called with the attack's name and the share of the work done.

    Raises:
        AttackError: the attack cannot serve this; HeadError: labels or output do not fit; SideEffectError: the model
            changed.
    """
    settings = settings or RunSettings()
    criterion = criterion or default_criterion(head)
    _require_served(attack, threat)
    started = time.process_time()
    with untouched(model):
        with channels_last(model):
            bench = Bench.of(model, images, labels, threat, head, criterion, settings)
            searches_of(bench, attack, settings, progress)
        return bench.result(started)


def check_points(
    model: nn.Module,
    images: Images,
    points: Images,
    labels: Tensor,
    *,
    attack_name: str = "of another package",
    threat: ThreatModel,
    head: Head,
    criterion: Criterion | None = None,
    settings: RunSettings | None = None,
) -> AttackResult:
    """The verdict on points that somebody else made: only those inside bound and range count, and none is moved.

    Args:
        model: as for :func:`run_attack`.
        images: the clean images.
        points: one candidate per image.
        labels: in the form of ``head``.
        attack_name: whose points they are, for the message of an error.
        threat: bound, range and goal.
        head: how to read the output.
        criterion: when an image counts as fooled.
        settings: batch size and memory.

    Returns:
        The result, with the share of candidates outside the bound as the flag ``out_of_bounds``.

    Raises:
        AttackError: the points have another shape, or are not finite; the norm is spatial, whose bound no image shows.
    """
    if threat.norm == "spatial":
        raise AttackError(
            f'attack "{attack_name}": expected norm linf, l2, l0 or patch; got spatial, and how far points moved '
            "cannot be read off an image; for spatial use run_attack with rotation or elastic"
        )
    if points.shape != images.shape or not bool(points.isfinite().all()):
        raise AttackError(
            f'attack "{attack_name}": expected finite points of shape {tuple(images.shape)}; got shape '
            f"{tuple(points.shape)}{'' if bool(points.isfinite().all()) else ' with NaN or infinite values'}"
        )
    started = time.process_time()
    with untouched(model):
        criterion = criterion or default_criterion(head)
        bench = Bench.of(model, images, labels, threat, head, criterion, settings or RunSettings())
        outside = bench.judge(points.detach().to(bench.images))
        result = bench.result(started)
    return replace(result, flags={**result.flags, "out_of_bounds": outside})


def searches_of(bench: Bench, attack: Attack, settings: RunSettings, progress: Progress | None = None) -> None:
    """Run the attack on what is not fooled yet, restart by restart and batch by batch; results lie in the record."""
    name = name_of("attack", attack)
    look_on = not settings.stop_when_fooled
    for restart in range(settings.restarts):
        left = bench.eligible & ~bench.clean_success & (look_on | ~bench.record.success)
        rows = left.nonzero()[:, 0]
        size = max(1, len(rows)) if attack.whole_set else _rows_at_once(bench, settings)
        for first in range(0, len(rows), size):
            part = rows[first : first + size]
            done = restart / settings.restarts + first / max(1, len(rows)) / settings.restarts
            weight = len(part) / len(rows) / settings.restarts
            tell = _teller(progress, name, done, weight)
            generator = torch_generator(settings.seed, "attack", name, restart, first)
            attack(bench.search(part, attack, settings, tell), generator)
    if progress is not None:
        progress(name, 1.0)


def _teller(progress: Progress | None, name: str, done: float, weight: float) -> Callable[[float], None]:
    def tell(share: float) -> None:
        if progress is not None:
            progress(name, done + weight * share)

    return tell


def _rows_at_once(bench: Bench, settings: RunSettings) -> int:
    image, scores = bench.images[0], bench.clean_scores[0]
    each = _COPIES * image.numel() * image.element_size() + 4 * scores.numel() * scores.element_size()
    return max(1, settings.max_bytes // each)


def _require_served(attack: Attack, threat: ThreatModel) -> None:
    if threat.norm not in attack.norms:
        able = sorted(name for name, entry in table("attack").items() if threat.norm in entry.norms)
        raise AttackError(
            f'attack "{name_of("attack", attack)}": expected norm {" or ".join(attack.norms)}; got {threat.norm}; for '
            f"{threat.norm} use {', '.join(able)}"
        )
    if math.isinf(threat.eps) and not attack.minimises:
        raise AttackError(
            f'attack "{name_of("attack", attack)}": expected a finite eps; got infinity; set eps, or use an '
            "attack that looks for the least distance"
        )
