"""What came of an attack, image by image."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

Images = Float[Tensor, "batch channel *space"]
PerImage = Float[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class AttackResult:
    """What an attack did to every image; rows as they were handed in.

    Attributes:
        eligible: the goal is about this image (there is a finding to hide, say).
        clean_success: wrong without an attack.
        success: fooled, those wrong without an attack included; confirmed in float32.
        adversarial: the worst point found, inside bound and range; the clean image where none was worse.
        distances: of the points that fool, in units of eps; 0 where wrong without an attack, NaN where not fooled.
        clean_damage: the criterion's damage of the clean image.
        damage: of the worst point.
        forward_images: images passed through the model.
        gradient_images: images of which a gradient was taken.
        cpu_seconds: processor time of this process.
        flags: shares of the attacked images: ``zero_gradient``, ``nonfinite_gradient``, ``unconfirmed`` (successes that
            a second pass did not repeat); ``random_forward`` is 1 where the model draws random numbers in eval mode.
        left: images not fooled after each stage of an ensemble.
    """

    eligible: Bool[Tensor, " batch"]
    clean_success: Bool[Tensor, " batch"]
    success: Bool[Tensor, " batch"]
    adversarial: Images
    distances: PerImage
    clean_damage: PerImage
    damage: PerImage
    forward_images: int
    gradient_images: int
    cpu_seconds: float
    flags: Mapping[str, float]
    left: Mapping[str, int]

    @property
    def robust_share(self) -> float:
        """The share of the eligible images that no point fools; NaN without any."""
        count = int(self.eligible.sum())
        return float((self.eligible & ~self.success).sum()) / count if count else math.nan
