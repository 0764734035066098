"""Rotate by quarter turns: exact, no interpolation."""

import torch

from medfed.data.transforms.contract import Images, Probability, Targets, has_masks
from medfed.data.transforms.sampling import uniform
from medfed.registry import plugin


@plugin
class Rotate90:
    """Rotate square images by 90, 180 or 270 degrees, each equally likely.

    Attributes:
        probability: how often an image is rotated at all.
    """

    probability: Probability = 0.75

    def __call__(self, images: Images, targets: Targets, generator: torch.Generator) -> tuple[Images, Targets]:
        """Transform one batch.

        Raises:
            ValueError: the images are not square.
        """
        if images.shape[-1] != images.shape[-2]:
            raise ValueError(f"rotate90 needs square images, got height {images.shape[-2]}, width {images.shape[-1]}")
        draws = uniform(images, 0.0, 1.0, generator)
        original_images, original_targets = images, targets
        for turns in (1, 2, 3):
            chosen = (draws >= self.probability * (turns - 1) / 3) & (draws < self.probability * turns / 3)
            images = torch.where(chosen, original_images.rot90(turns, (-2, -1)), images)
            if has_masks(targets):
                targets = torch.where(chosen[:, 0], original_targets.rot90(turns, (-2, -1)), targets)
        return images, targets
