"""Would an attacker name the right patient? The place of the true image in a line-up of images of the same site.

A line-up is the true image among decoys that took no part. Each is as far as the nearest rebuilt image is from it; the
attacker names the nearest. Where nothing leaks, every place is equally likely, so that the right
one is named with probability 1 / (decoys + 1).

The distance is 1 - correlation of the grey values (Pearson 1895) over pixels and channels: it does not see brightness
and contrast, which training changes at random, and which a rebuilt image often misses.
"""

import torch
from jaxtyping import Float
from scipy.stats import binom
from torch import Tensor

from medfed.audit.results import share
from medfed.results import Estimate
from privacy.measures.images import Images, require_images


def correlation_distance(images: Images, others: Images) -> Float[Tensor, "image other"]:
    """1 - correlation of every image with every other, 0 to 2; 1 where one of them is of one grey throughout.

    Raises:
        MeasureError: integer or non-finite values, or images of different shapes.
    """
    require_images(images, others)
    return 1.0 - _standard(images) @ _standard(others).T


def _standard(images: Images) -> Float[Tensor, "image value"]:
    values = images.flatten(1).double()
    centred = values - values.mean(1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    constant = norms < 1e-9 * values.shape[1] ** 0.5  # of values up to 1: less than float32 can tell
    return torch.where(constant, torch.zeros_like(centred), centred / norms.clamp_min(1e-300))


def rank_in_line_up(rebuilt: Images, target: Images, decoys: Images) -> int:
    """The place of ``target``, from 1; a decoy that is as near counts as nearer, since it would be named as well.

    Args:
        rebuilt: one image or more; the order does not matter.
        target: one image, (1, channel, *space).
        decoys: at least one.

    Raises:
        ValueError: no rebuilt image, no decoy, or not one target. MeasureError: images that cannot be compared.
    """
    if len(target) != 1 or not len(decoys) or not len(rebuilt):
        raise ValueError(f"expected 1 target and 1 or more decoys; got {len(target)}, {len(decoys)}, {len(rebuilt)}")
    own = correlation_distance(rebuilt, target).min()
    others = correlation_distance(rebuilt, decoys).min(0).values
    return 1 + int((others <= own).sum())


def named(ranks: list[int]) -> Estimate:
    """The share of line-ups in which the right one stands first, with the exact interval (Clopper and Pearson 1934).

    The line-ups must be of different patients, or the interval is too short.
    """
    return share(sum(rank == 1 for rank in ranks), len(ranks))


def luck(ranks: list[int], shortest: int) -> float:
    """The probability that guesses name as many, or more (binomial); 1 without line-ups.

    Args:
        ranks: as for :func:`named`.
        shortest: how many people the shortest line-up has; longer ones count as it, which makes luck likelier.
    """
    return float(binom.sf(sum(rank == 1 for rank in ranks) - 1, len(ranks), 1 / shortest)) if ranks else 1.0
