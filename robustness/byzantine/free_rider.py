"""Free riders: they take the model and give noise (Fraboni, Vidal and Lorenzi, AISTATS 2021).

    sent in round t:  std * t^-decay * N(0, 1)

With ``std`` near that of honest updates this is their disguised free-rider; towards 0 it becomes the plain one, which
sends the model back as it came.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from medfed.registry import plugin
from robustness.byzantine.base import Base
from robustness.byzantine.contract import Vector, View
from robustness.byzantine.fields import Factor
from robustness.byzantine.gaussian import noise


@plugin
class FreeRider(Base):
    """Noise that shrinks as the rounds go on, and no work; the simulation has the site train, and forgets it.

    Attributes:
        std: standard deviation of every value in round 1, in the unit of the weights.
        decay: how fast it shrinks; gamma of the paper.
    """

    std: Factor = 0.001
    decay: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1.0

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """Noise alone."""
        std: float = self.std / float(view.round) ** self.decay
        return std * noise(len(view.own), generator)
