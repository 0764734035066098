"""Each site clips and noises its own update (local differential privacy with whole updates as values).

    sent = clip(change, C) + N(0, (z C)^2)

What the server makes of it, by whatever rule, is post-processing. A site that belongs to an adversary adds no noise.
Clip and noise come with the scenario, from the server: a site has no policy of its own yet that would insist on them.
"""

from collections.abc import Set
from typing import ClassVar

import torch

from medfed.registry import plugin
from medfed.types import Weights
from privacy.clipping import clip
from privacy.mechanisms.fields import Multiplier, Positive
from privacy.noise import Normal, add_noise
from privacy.release import Release


@plugin
class Local:
    """Each site clips and noises its own update before it leaves; the server need not be trusted with updates.

    Attributes:
        clip: C, the longest update that counts in full, as a Euclidean norm over trained parameters that travel.
        noise_multiplier: z; the noise on every value has standard deviation z C.
    """

    trusted: ClassVar[str] = "the site itself, and the server to send the scenario that was agreed on"

    clip: Positive
    noise_multiplier: Multiplier

    def protect(self, change: Weights, trained: Set[str], normal: Normal) -> Weights:
        """Clip and noise what is trained; of buffers nothing is told."""
        parameters = {name: value for name, value in change.items() if name in trained}
        noised = add_noise(clip(parameters, self.clip), self.noise_multiplier * self.clip, normal)
        return {name: noised[name] if name in noised else torch.zeros_like(value) for name, value in change.items()}

    def release(self, round_number: int, largest_share: float) -> Release | None:
        """The site's update, whose sensitivity is the bound."""
        return Release("gaussian", self.clip, self.noise_multiplier, 1.0, 1, "site", "add_remove", round_number)
