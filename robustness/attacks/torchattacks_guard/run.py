"""Run an attack of torchattacks behind the guard."""

import contextlib
import io
import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field
from scipy.stats import binomtest
from torch import Tensor, nn

from medfed.errors import MedfedError
from medfed.registry import plugin
from medfed.rng import derive_seed, torch_generator
from robustness.attacks.bench import Bench
from robustness.attacks.criteria import Criterion, default_criterion
from robustness.attacks.enforcer import check_points
from robustness.attacks.guard import untouched
from robustness.attacks.heads import Head
from robustness.attacks.objective import Pool
from robustness.attacks.projection import Bounds, distance, project, random_points
from robustness.attacks.result import AttackResult
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel
from robustness.attacks.torchattacks_guard.catalogue import Entry
from robustness.attacks.torchattacks_guard.package import Option, build, entry_of, refusal, torchattacks
from robustness.attacks.torchattacks_guard.presented import Frame, Presented, class_labels
from robustness.attacks.torchattacks_guard.requirements import eps_of_unit_images, require_served

Images = Float[Tensor, "batch channel *space"]

_LEVEL = 0.05


@plugin
class TorchAttack:
    """One attack of torchattacks by its class name; see the catalogue.

    Attributes:
        name: such as "PGD".
        options: arguments of its constructor other than bound, norm, classes and seed.
    """

    name: str
    options: dict[str, Option] = Field(default_factory=dict)


def run_torchattack(
    model: nn.Module,
    images: Images,
    labels: Tensor,
    *,
    attack: TorchAttack,
    threat: ThreatModel,
    head: Head,
    criterion: Criterion | None = None,
    seed: int = 0,
    batch_size: int = 64,
    max_bytes: int = 2**31,
) -> AttackResult:
    """Let torchattacks search, and let the enforcer say what its points are worth.

    The model is shown as torchattacks expects one (images in [0, 1], two-class logits for one sigmoid, int64 labels);
    what cannot be shown so is refused. Model, flags and global random states are afterwards as they were.

    Args:
        model: maps images to the logits that ``head`` reads.
        images: inside the range of ``threat``.
        labels: in the form of ``head``.
        attack: which attack, with which options.
        threat: bound, range and goal.
        head: how to read the output.
        criterion: when an image counts as fooled; default: wrong class, any finding, in segmentation as the goal asks.
        seed: every random number of the run derives from it.
        batch_size: images in one call of torchattacks.
        max_bytes: memory that an attack may use for tables of pixels.

    Returns:
        The verdict on the points, with three more flags, as shares of the attacked images: ``beyond_eps`` (an attack
        that looks for the least distance found nothing near enough), ``nonfinite_points``, and
        ``no_better_than_noise``, 1 where it is not shown to do more than random noise of the same size (a sign test
        over the images at 5 %): then the run says nothing.

    Raises:
        AttackError: torchattacks is absent, cannot serve this, or failed; HeadError; SideEffectError.
    """
    package = torchattacks()
    entry = entry_of(attack.name, package, threat)
    criterion = criterion or default_criterion(head)
    settings = RunSettings(seed=seed, batch_size=batch_size, max_bytes=max_bytes)
    started = time.process_time()
    with untouched(model):
        bench = Bench.of(model, images, labels, threat, head, criterion, settings)
        require_served(attack.name, entry, bench, attack.options, max_bytes)
        presented = _presented(model, entry, bench)
        with contextlib.redirect_stdout(io.StringIO()):
            points = _search(package, attack, entry, presented, bench, settings)
    points, faults = _answers(points, bench, entry)

    def verdict(answer: Images, name: str) -> AttackResult:
        return check_points(
            model,
            images,
            answer,
            labels,
            attack_name=name,
            threat=threat,
            head=head,
            criterion=criterion,
            settings=settings,
        )

    found, noise = verdict(points, f"torchattacks {attack.name}"), verdict(noise_points(bench, seed), "noise")
    flags = {**found.flags, **faults, "no_better_than_noise": float(no_better(found, noise, criterion.pool))}
    return replace(
        found,
        flags=flags,
        forward_images=found.forward_images + noise.forward_images + presented.forward_images,
        gradient_images=found.gradient_images + presented.gradient_images,
        cpu_seconds=time.process_time() - started,
    )


def no_better(found: AttackResult, noise: AttackResult, pool: Pool) -> bool:
    """Whether a sign test (one-sided, 5 %) does not show more damage than noise does, image against image.

    What is compared is decided, not the margin, which may move without a single wrong decision: fooled or not where
    one unit is enough, else the damage. With fewer than five images nothing can be shown.
    """
    attacked = found.eligible & ~found.clean_success
    ours, theirs = ((r.success.float() if pool == "max" else r.damage)[attacked] for r in (found, noise))
    wins, losses = int((ours > theirs).sum()), int((ours < theirs).sum())
    return wins == 0 or bool(binomtest(wins, wins + losses, alternative="greater").pvalue > _LEVEL)


def noise_points(bench: Bench, seed: int) -> Images:
    """Noise as far away as it may be; the images themselves where eps is infinite.

    A random corner of the box (linf), a random diagonal of the ball (l2), random extreme values at eps positions (l0).
    """
    images, bounds = bench.images, Bounds.of(bench.threat, bench.images)
    generator = torch_generator(seed, "torchattacks", "noise")
    signs = torch.randint(0, 2, images.shape, generator=generator).to(images) * 2 - 1
    if bounds.eps == float("inf"):
        return images
    if bounds.norm != "l0":
        return project(images + signs * bounds.step, images, bounds)
    changed = random_points(images, bounds, generator) != images
    return torch.where(changed, torch.where(signs > 0, bounds.high, bounds.low), images)


def _presented(model: nn.Module, entry: Entry, bench: Bench) -> Presented:
    bounds = Bounds.of(bench.threat, bench.images)
    frame = Frame(bounds.low, bounds.high - bounds.low, tuple(bench.images.shape[1:]), entry.colour)
    scale = max(1.0, float(bench.objective.scale.mean()))
    return Presented(model, bench.oracle.head, frame, scale, entry.lifted)


def _search(
    package: ModuleType, attack: TorchAttack, entry: Entry, presented: Presented, bench: Bench, settings: RunSettings
) -> Images:
    """The points of torchattacks for the images that are still right; the others stay as they are."""
    eps = eps_of_unit_images(attack.name, entry, bench)
    choices, values = bench.clean_scores.shape[1], bench.images[0].numel()
    labels, targeted = class_labels(bench.objective, choices, entry.needs_target)
    points, left = bench.images.clone(), (bench.eligible & ~bench.clean_success).nonzero()[:, 0]
    for first in range(0, len(left), settings.batch_size):
        rows = left[first : first + settings.batch_size]
        seed = _seeded(settings.seed, attack.name, first)
        made = partial(
            build,
            package,
            attack.name,
            presented,
            attack.options,
            threat=bench.threat,
            eps=eps,
            num_values=values,
            num_choices=choices,
            seed=seed,
        )
        start = presented.frame.points(bench.images[rows])
        answer = _called(made, attack.name, entry, bench.threat, start, labels[rows], targeted)
        points[rows] = presented.frame.images(answer)
    return points


def _seeded(seed: int, name: str, first: int) -> int:
    """Seed the global generators, which are all that torchattacks knows; the guard of the model puts them back."""
    derived = derive_seed(seed, "torchattacks", name, first) % 2**32
    torch.manual_seed(derived)
    np.random.seed(derived)
    random.seed(derived)
    return derived


def _called(
    made: Callable[[], Any], name: str, entry: Entry, threat: ThreatModel, start: Images, labels: Tensor, targeted: bool
) -> Images:
    """Build and call it once; whatever torchattacks raises becomes a refusal that quotes it."""
    inside = start.clamp(entry.inset, 1.0 - entry.inset)
    try:
        found = made()
        found.set_device(start.device)
        if targeted:
            found.set_mode_targeted_by_label(quiet=True)
        answer: Tensor = found(inside, labels).detach()
    except MedfedError:
        raise
    except Exception as error:  # a foreign library may raise anything
        said = (str(error).splitlines() or [""])[0]
        reason = f"it failed on this model with {type(error).__name__}: {said}"
        raise refusal(name, threat, reason, entry.instead) from error
    if answer.shape != start.shape:
        reason = f"it returned shape {tuple(answer.shape)} for {tuple(start.shape)}"
        raise refusal(name, threat, reason, entry.instead)
    return torch.where(answer == inside, start, answer)


def _answers(points: Images, bench: Bench, entry: Entry) -> tuple[Images, dict[str, float]]:
    """Points that are no answer put back to the clean image: not finite, or beyond eps where eps was not asked for."""
    attacked = bench.eligible & ~bench.clean_success
    bounds = Bounds.of(bench.threat, bench.images)
    finite = points.isfinite().flatten(1).all(dim=1)
    far = torch.zeros_like(attacked)
    if entry.minimises:
        far = finite & (distance(points, bench.images, bounds) > bounds.eps)
    kept: Bool[Tensor, " batch"] = finite & ~far
    points = torch.where(kept.reshape(-1, *[1] * (points.ndim - 1)), points, bench.images)
    count = max(1, int(attacked.sum()))
    return points, {
        "beyond_eps": float((far & attacked).sum()) / count,
        "nonfinite_points": float((~finite & attacked).sum()) / count,
    }
