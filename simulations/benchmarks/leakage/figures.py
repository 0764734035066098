"""From the images of a cell to what is reported of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from medfed.audit.results import share
from medfed.results import Estimate
from privacy.leakage.strength import Goal, Strength, strength
from simulations.benchmarks.leakage.plan import Cell

CONTROL = Goal(decibels=25.0, named=0.9)
"""An attacker who does not reach this on undefended updates of one image is too weak to clear anything."""

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Leak:
    """What an attack on a cell came to.

    Attributes:
        psnr: mean over messages of the mean over their measured images, dB; interval of Student's t over messages.
        best: the largest PSNR of an image.
        registered: mean registered PSNR, dB.
        ssim: mean; None where images are too small.
        named: share of patients named from a line-up, exact interval; n counts images, no two of a patient.
        labels: share of classes named rightly; None where that was not asked.
        strength: whether it would do as a control.
        whole: whether all images and steps were simulated in every message.
        messages: attacked.
    """

    psnr: Estimate
    best: float
    registered: float
    ssim: float | None
    named: Estimate
    labels: float | None
    strength: Strength
    whole: bool
    messages: int


def leak(result: Result) -> Leak:
    """The figures of a finished cell."""
    images: Sequence[Mapping[str, Any]] = result["images"]
    ranks = [image["rank"] for image in images if image["rank"] is not None]
    alike = [image["ssim"] for image in images if image["ssim"] is not None]
    return Leak(
        psnr=_over_messages(images),
        best=max(image["psnr"] for image in images),
        registered=float(np.mean([image["registered_psnr"] for image in images])),
        ssim=float(np.mean(alike)) if alike else None,
        named=share(sum(rank == 1 for rank in ranks), len(ranks)),
        labels=result["labels"],
        strength=strength([image["psnr"] for image in images], ranks, result["people"], CONTROL),
        whole=result["whole"] == result["messages"],
        messages=result["messages"],
    )


def _over_messages(images: Sequence[Mapping[str, Any]]) -> Estimate:
    """Images of one message came out of one search: the messages are the independent units."""
    numbers = sorted({image["message"] for image in images})
    means = [float(np.mean([image["psnr"] for image in images if image["message"] == n])) for n in numbers]
    middle, n = float(np.mean(means)), len(means)
    if n < 2:
        return Estimate(value=middle, low=None, high=None, n=n)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(means, ddof=1) / n**0.5)
    return Estimate(value=middle, low=middle - half, high=middle + half, n=n)


def control_of(cell: Cell) -> Cell:
    """The undefended update of one image and one step, of the same network and weights."""
    return replace(Cell(cell.net), norm=cell.norm, rounds=cell.rounds)


def said_of(control: Leak | None) -> str:
    """What a control says of the attack."""
    if control is None:
        return "not run"
    if not control.strength.holds:
        return "attack too weak"
    return "holds for naming alone" if control.strength.by_naming else "holds"
