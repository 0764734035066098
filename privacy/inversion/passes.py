"""From one candidate per image and pass to one image: match the passes to the first, and average."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from privacy.inversion.schedule import Schedule
from privacy.measures.matching import match_images

Images = Float[Tensor, "slot channel *space"]


def merged(
    images: Images, labels: Int[Tensor, "slot ..."], schedule: Schedule
) -> tuple[Float[Tensor, "examples channel *space"], Int[Tensor, "examples ..."]]:
    """The mean of every image of the first pass and its match in each whole pass (Dimitrov et al. 2022, section 4.4).

    Labels are those of the first pass.
    """
    first = list(schedule.passes[0])
    whole = [list(slots) for slots in schedule.passes if len(slots) == len(first)]
    found = [images[first]]
    for slots in whole[1:]:
        found.append(images[slots][match_images(images[slots], images[first])])
    return torch.stack(found).mean(0), labels[first]
