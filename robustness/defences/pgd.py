"""Adversarial training with projected gradient descent (Madry et al., ICLR 2018, equation 2.1)."""

from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from medfed.training.adversarial import TrainingBatch
from robustness.attacks.projection import random_points
from robustness.attacks.steps import Share, Steps
from robustness.defences.perturbation import GreyLevels, bounds_of, climb, crafting


@plugin
class PGDTraining:
    """Train on the worst image within eps that steps up the training loss find: min over w of max over d of L(x + d).

    A step takes ``steps`` gradients more than plain training.

    Attributes:
        eps_grey_levels: largest change of a pixel, in 1/255 of the range; the paper's is 8 for colour photographs.
        steps: gradients taken, from a random point of the ball; the paper takes 7.
        step: length of a step as a share of eps; the paper's is a quarter.
    """

    eps_grey_levels: GreyLevels = 8.0
    steps: Steps = 7
    step: Share = 0.25

    def __call__(self, batch: TrainingBatch) -> Float[Tensor, ""]:
        """The training loss of the changed images."""
        bounds = bounds_of(self.eps_grey_levels, batch.images)
        start = random_points(batch.images, bounds, batch.generator)
        with crafting(batch.model):
            points = climb(batch.images, start, lambda x: batch.loss(batch.forward(x)), bounds, self.steps, self.step)
        return batch.loss(batch.forward(points))
