"""One attacked message: images that were rebuilt, and how near each comes to a patient.

Every image that is measured is reported; none is chosen by its outcome.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from privacy.inversion.contract import Inversion, Reconstruction
from privacy.inversion.engine import Progress, run_inversion
from privacy.inversion.observation import Observation
from privacy.inversion.settings import InversionSettings
from privacy.leakage.truth import Decoys, Truth
from privacy.measures.identification import rank_in_line_up
from privacy.measures.images import SSIM_WINDOW, psnr, ssim
from privacy.measures.matching import label_accuracy, match_images, nearest_images
from privacy.measures.registered import registered_psnr

_MAX_SHIFT = 2


@dataclass(frozen=True)
class Scored:
    """One image that took part, beside the rebuilt one that stands for it.

    Attributes:
        index: within the truth.
        rebuilt: index of the rebuilt image.
        psnr: in dB, against what the network was shown.
        registered_psnr: the best over shifts of up to two pixels and mirror images.
        ssim: None where the image is too small for it.
        rank: place of the true image in a line-up with decoys; None without decoys.
    """

    index: int
    rebuilt: int
    psnr: float
    registered_psnr: float
    ssim: float | None
    rank: int | None


@dataclass(frozen=True, eq=False)
class Trial:
    """What an attack got out of a message.

    Attributes:
        found: the attacker's images, in its own order.
        scores: one for each measured image.
        num_decoys: in each line-up.
        one_to_one: each rebuilt image stands for one true image; otherwise the nearest does, however often.
        labels: share of classes named rightly, in any order; None where nothing was to be named.
    """

    found: Reconstruction
    scores: tuple[Scored, ...]
    num_decoys: int
    one_to_one: bool
    labels: float | None

    @property
    def ranks(self) -> list[int]:
        """Of all line-ups."""
        return [score.rank for score in self.scores if score.rank is not None]

    @property
    def mean_psnr(self) -> float:
        """Over the measured images, in dB."""
        return float(np.mean([score.psnr for score in self.scores]))


@dataclass(frozen=True, eq=False)
class Measured:
    """What is measured of an attacked message.

    Attributes:
        truth: what the site trained on.
        targets: indices of the images of ``truth`` that are measured.
        decoys: to be taken for them.
        num_decoys: at most so many in a line-up.
    """

    truth: Truth
    targets: tuple[int, ...]
    decoys: Decoys
    num_decoys: int


def attack_message(
    seen: Observation,
    measured: Measured,
    attack: Inversion,
    settings: InversionSettings,
    generator: np.random.Generator,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Trial:
    """Run ``attack`` on what is ``seen``, and compare its images with the truth.

    Where as many images were looked for as took part, each stands for one (least total squared error). Where fewer
    were, the one that is nearest to a measured image stands for it.

    Raises:
        InversionError: the attack cannot be run on this.
    """
    found = run_inversion(seen, attack=attack, settings=settings, progress=progress, stop=stop)
    truth, targets = measured.truth, torch.tensor(measured.targets)
    one_to_one = len(found.images) == len(truth)
    order = match_images(found.images, truth.images) if one_to_one else nearest_images(found.images, truth.images)
    rows = order[targets]
    images, wanted = found.images[rows], truth.images[targets]
    near, moved = psnr(images, wanted), registered_psnr(images, wanted, min(_MAX_SHIFT, min(images.shape[2:]) // 2))
    alike = ssim(images, wanted).tolist() if min(images.shape[2:]) >= SSIM_WINDOW else [None] * len(rows)
    ranks = [_rank(found.images, measured, index, generator) for index in measured.targets]
    scores = tuple(map(Scored, measured.targets, rows.tolist(), near.tolist(), moved.tolist(), alike, ranks))
    return Trial(
        found, scores, min(measured.num_decoys, len(measured.decoys.images)), one_to_one, _labels(found, seen, truth)
    )


def _rank(
    rebuilt: Float[Tensor, "image channel *space"], measured: Measured, index: int, generator: np.random.Generator
) -> int | None:
    decoys = measured.decoys.draw(measured.num_decoys, generator)
    return rank_in_line_up(rebuilt, measured.truth.images[index : index + 1], decoys) if len(decoys) else None


def _labels(found: Reconstruction, seen: Observation, truth: Truth) -> float | None:
    """None where the labels were granted, or are masks, or not all images were looked for."""
    named: Int[Tensor, " image"] = found.labels
    if seen.labels is not None or named.ndim != 1 or len(named) != len(truth):
        return None
    return label_accuracy(named, truth.labels)


def pick_targets(truth: Truth, limit: int, used: set[str], generator: np.random.Generator) -> tuple[int, ...]:
    """At most ``limit`` images in ascending order, drawn so that no patient comes twice; adds to ``used``."""
    chosen: list[int] = []
    for index in generator.permutation(len(truth)).tolist():
        if len(chosen) < limit and truth.patients[index] not in used:
            used.add(truth.patients[index])
            chosen.append(index)
    return tuple(sorted(chosen))
