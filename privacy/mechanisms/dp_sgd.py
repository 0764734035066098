"""Every step of a site's training is clipped per image, or per patient, and noised (DP-SGD, Abadi et al., CCS 2016).

    step's gradient = (sum over the units drawn of clip(G_u, C) + N(0, (z C)^2)) / B

B = ``training.batch_size`` units are expected in a step; each is in it by a coin of its own. A round releases all of
its steps. :mod:`privacy.training` does the work.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from medfed.registry import plugin
from medfed.types import Weights
from privacy.mechanisms.fields import Multiplier, Positive
from privacy.noise import Normal
from privacy.release import Release
from privacy.training.names import BackendName, TrainingUnit
from privacy.training.step import noisy_mean


@plugin
class DPSGD:
    """Each site noises every step of its own training; single images or patients are protected from all others.

    Attributes:
        unit: who is protected: a ``record``, one image, or a ``patient``, all images of one at a site together.
        clip: C, the longest gradient of a unit that counts in full, as a Euclidean norm over all trained parameters.
        noise_multiplier: z; the noise on every value of a step's sum has standard deviation z C.
        backend: how gradients of single images are computed; ``auto``: the first of vmap, hooks and loop that is right
            for the model.
        memory_mb: for gradients of single images and their activations, in megabytes.
        multiplicity: K, over so many augmentations of an image its gradient is averaged before the unit's sum is
            clipped ("augmentation multiplicity", De et al., arXiv:2204.13650, section 3.2). Costs time, no privacy.
    """

    trusted: ClassVar[str] = "the site itself, and the server to send the scenario that was agreed on"

    unit: TrainingUnit = "record"
    clip: Positive
    noise_multiplier: Multiplier
    backend: BackendName = "auto"
    memory_mb: Annotated[int, Field(ge=1)] = 512
    multiplicity: Annotated[int, Field(ge=1, le=256)] = 1

    def noisy_gradient(self, total: Weights, expected: float, normal: Normal) -> Weights:
        """The mean over the expected number of units, noised."""
        return noisy_mean(total, self.clip, self.noise_multiplier, expected, normal)

    def steps_release(self, round_number: int, rate: float, num_steps: int) -> Release:
        """All steps of the round."""
        multiplier = self.noise_multiplier
        return Release("gaussian", self.clip, multiplier, rate, num_steps, self.unit, "add_remove", round_number)
