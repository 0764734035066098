"""Mirror images."""

import torch

from medfed.data.transforms.contract import Images, Probability, Targets, has_masks
from medfed.data.transforms.sampling import chance
from medfed.registry import plugin


@plugin
class Flip:
    """Mirror left-right and top-bottom, each with its own probability. Leave out what anatomy forbids.

    Attributes:
        horizontal: probability of exchanging left and right.
        vertical: probability of exchanging top and bottom.
    """

    horizontal: Probability = 0.5
    vertical: Probability = 0.5

    def __call__(self, images: Images, targets: Targets, generator: torch.Generator) -> tuple[Images, Targets]:
        """Transform one batch."""
        for probability, axis in ((self.horizontal, -1), (self.vertical, -2)):
            chosen = chance(images, probability, generator)
            images = torch.where(chosen, images.flip(axis), images)
            if has_masks(targets):
                targets = torch.where(chosen[:, 0], targets.flip(axis), targets)
        return images, targets
