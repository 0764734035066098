"""Fast adversarial training: one long step from a random point (Wong, Rice and Kolter, ICLR 2020, Algorithm 3)."""

from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from medfed.training.adversarial import TrainingBatch
from robustness.attacks.steps import Share
from robustness.defences.perturbation import GreyLevels
from robustness.defences.pgd import PGDTraining


@plugin
class Fast:
    """Train on one FGSM step from a random point of the ball: twice the time of plain training.

    The paper warns of catastrophic overfitting, above all with larger eps, steps and long training: the model learns to
    withstand this one step and nothing else. Measure it with an attack of many steps.

    Attributes:
        eps_grey_levels: largest change of a pixel, in 1/255 of the range.
        step: length of the step as a share of eps; the paper's is 1.25, and 2 overfits there.
    """

    eps_grey_levels: GreyLevels = 8.0
    step: Share = 1.25

    def __call__(self, batch: TrainingBatch) -> Float[Tensor, ""]:
        """The training loss of the changed images."""
        return PGDTraining(eps_grey_levels=self.eps_grey_levels, steps=1, step=self.step)(batch)
