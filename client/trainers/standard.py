"""Plain local training: mini-batch descent from the global weights (McMahan et al., AISTATS 2017, ClientUpdate)."""

from torch import nn

from medfed.config import Scenario
from medfed.registry import plugin
from medfed.training.local import Correction, LocalResult, train_local
from medfed.types import ImageSet


@plugin
class Standard:
    """Mini-batch descent from the global weights, as the scenario's ``[training]`` says."""

    def __call__(
        self,
        model: nn.Module,
        images: ImageSet,
        scenario: Scenario,
        site: str,
        round_number: int,
        correct: Correction | None = None,
    ) -> LocalResult:
        """Train as ``[training]`` says."""
        return train_local(model, images, scenario, site, round_number, correct=correct)
