"""What came of one site that was trained in a batch of sites: stands where its trainer would."""

from dataclasses import dataclass

from torch import nn

from medfed.config import Scenario
from medfed.params import set_weights
from medfed.training.batched import SiteOutcome
from medfed.training.local import Correction, LocalResult, mean_loss
from medfed.types import ImageSet


@dataclass(frozen=True, eq=False)
class Trained:
    """It is a :class:`client.trainers.contract.Trainer`; ``seconds`` is the site's share of its batch's time."""

    outcome: SiteOutcome
    seconds: float

    def __call__(
        self,
        model: nn.Module,
        images: ImageSet,
        scenario: Scenario,
        site: str,
        round_number: int,
        correct: Correction | None = None,
    ) -> LocalResult:
        """Put the trained weights into ``model``.

        Raises:
            DivergedError: the loss was not finite.
        """
        assert correct is None, "only strategies that leave the gradients alone are trained in batches"
        set_weights(model, self.outcome.weights)
        mean = mean_loss(self.outcome.total_loss, self.outcome.num_steps, site, round_number)
        return LocalResult(self.outcome.num_steps, len(images), mean)
