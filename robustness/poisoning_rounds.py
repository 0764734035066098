"""The recorded updates of a run as the section on poisoned sites shows them to detectors."""

import copy
from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch

from medfed.audit.contract import AuditContext, TestImages
from medfed.params import set_weights
from medfed.types import Weights
from robustness.byzantine.contract import View
from robustness.byzantine.sign_flip import SignFlip
from robustness.detection.contract import Round

PLANTED = "(planted)"
"""The site that the audit adds; parentheses keep it apart from real ones."""


def server_loss(context: AuditContext, tests: TestImages) -> Callable[[Weights], float] | None:
    """The training loss of a model on the drawn test images; None where the sites keep parts of the model."""
    if context.module is None:
        return None
    model = copy.deepcopy(context.module)

    def loss(weights: Weights) -> float:
        set_weights(model, weights)
        with torch.no_grad():
            return float(context.scenario.training.loss(model(tests.images), tests.labels, None))

    return loss


def with_planted(rounds: Sequence[Round], site: str, left_out: Collection[str]) -> list[Round]:
    """The rounds without the sites ``left_out``, and with one more that sends the update of ``site`` turned around.

    Rounds in which ``site`` sent nothing stay out.
    """
    found = []
    for of_round in rounds:
        if site not in of_round.sites:
            continue
        kept = [row for row, name in enumerate(of_round.sites) if name not in left_out]
        own = of_round.updates[of_round.sites.index(site)]
        view = View(own, own[None], len(kept) + 1, 1, of_round.number)
        turned = SignFlip()(view, np.random.default_rng(0))  # draws nothing
        sites = (*(of_round.sites[row] for row in kept), PLANTED)
        updates = torch.cat([of_round.updates[kept], turned[None]])
        found.append(Round(of_round.number, sites, updates, of_round.loss))
    return found
