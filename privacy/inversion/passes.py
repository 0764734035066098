"""From one candidate per image and pass to one image: match the passes to the first, and average."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from privacy.inversion.schedule import Schedule
from privacy.measures.matching import match_images

Images = Float[Tensor, "slot channel *space"]


class Merged(NamedTuple):
    """One image for all its candidates.

    Attributes:
        images: in the order of the first pass.
        labels: those of the first pass.
        rows: for every slot, the image that its candidate was taken for.
    """

    images: Float[Tensor, "examples channel *space"]
    labels: Int[Tensor, "examples ..."]
    rows: Int[Tensor, " slot"]


def merged(images: Images, labels: Int[Tensor, "slot ..."], schedule: Schedule) -> Merged:
    """The mean of every image of the first pass and its match in each whole pass (Dimitrov et al. 2022, section 4.4).

    The candidates of a pass cut short are matched as well, and do not enter the mean.
    """
    first = list(schedule.passes[0])
    found, rows = [images[first]], [torch.arange(len(first))]
    for slots in schedule.passes[1:]:
        order = match_images(images[first], images[list(slots)])
        rows.append(order)
        if len(slots) == len(first):
            found.append(images[list(slots)][order.argsort()])
    return Merged(torch.stack(found).mean(0), labels[first], torch.cat(rows))
