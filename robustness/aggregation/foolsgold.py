"""FoolsGold: sites that keep pointing the same way count as copies of one (Fung, Yoon and Beschastnikh, RAID 2020)."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from medfed.types import Weights
from robustness.aggregation.checks import Positive, require_updates
from robustness.aggregation.contract import Rows
from robustness.aggregation.gram import Coefficients, Gram, combine, gram
from robustness.aggregation.mixed_rows import MatrixRows
from robustness.aggregation.sketch import sketch

ROUNDING = 1e-12
"""Two directions whose cosine is this close to 1 are the same: float64 tells no less apart."""


def cosines(products: Gram) -> Gram:
    """Cosine of the angle between all pairs of rows, from their inner products; 0 with a row of zeros."""
    norms = products.diagonal().sqrt()
    scale = torch.where(norms > 0.0, 1.0 / norms, 0.0)
    return products * scale[:, None] * scale[None, :]


def foolsgold_weights(cosine: Gram, confidence: float) -> Coefficients:
    """Algorithm 1 of the paper: weights in [0, 1] from the cosines of the sites' summed updates.

    A cosine below 0 counts as 0: who points elsewhere is no copy. Where all sites point exactly the same way, all weigh
    1, which is the limit as they come closer.

    Args:
        cosine: of all pairs.
        confidence: kappa, the slope of the logit.
    """
    similar = cosine.clamp(min=0.0).fill_diagonal_(0.0)
    closest = similar.max(dim=1).values
    pardon = torch.where(closest[None, :] > closest[:, None], closest[:, None] / closest[None, :], 1.0)
    weights = 1.0 - (similar * pardon).max(dim=1).values
    weights = torch.where(weights < ROUNDING, 0.0, weights)
    if not bool(weights.any()):
        return torch.ones_like(weights)
    weights = weights / weights.max()
    return (confidence * (torch.logit(weights) + 0.5)).clamp(0.0, 1.0)


@plugin
class FoolsGold:
    """The mean of the updates, weighted by how little a site's updates, summed over all rounds, resemble another's.

    Against many colluding sites (sybils), however many, if honest sites differ from each other; with IID sites it has
    nothing to go by, and one attacker alone passes. The paper adds the weighted updates; here they are averaged, as
    updates of federated averaging must be. All values of the model are compared, not indicative features only.

    The state holds a sketch of each site's sum under its name, 256 kB, so that a site that sits rounds out keeps it.

    Attributes:
        confidence: kappa of the paper.
    """

    confidence: Positive = 1.0

    def min_updates(self) -> int:
        """Two: similarity is between sites."""
        return 2

    def __call__(
        self, rows: Rows, weights: Float[Tensor, " site"], state: Weights, generator: np.random.Generator
    ) -> tuple[Float[Tensor, " value"], Weights]:
        """Every site counts by its likeness alone."""
        require_updates(self, rows)
        sums = sketch(rows)
        for site, row in zip(rows.sites, sums, strict=True):
            if site in state:
                row += state[site]
        likeness = foolsgold_weights(cosines(gram(MatrixRows(rows.sites, sums))), self.confidence)
        # Copies: a view would keep the whole matrix alive for as long as one site is remembered.
        remembered = {site: row.clone() for site, row in zip(rows.sites, sums, strict=True)}
        return combine(rows, likeness / likeness.sum()), {**state, **remembered}
