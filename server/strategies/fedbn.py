"""FedBN: normalization layers stay at the sites (Li et al., ICLR 2021, Algorithm 1).

The paper has BatchNorm; here every normalization layer is meant (batch, group, layer, instance), with its scale, shift
and running statistics. To keep BatchNorm alone at the sites under any strategy: ``federation.batch_norm = "local"``.
"""

from torch import nn

from medfed.errors import ScenarioError
from medfed.models.entries import norm_entries
from medfed.registry import plugin
from server.strategies.fedavg import FedAvg


@plugin
class FedBN(FedAvg):
    """Federated averaging of all but the normalization layers, of which each site keeps its own."""

    def personal(self, model: nn.Module) -> frozenset[str]:
        """All entries of normalization layers.

        Raises:
            ScenarioError: the model has none.
        """
        found = norm_entries(model)
        if not found:
            raise ScenarioError(
                'key "federation.strategy": fedbn keeps normalization layers at the sites, but the model has none with '
                'entries of its own; use "fedavg", or a model with them'
            )
        return found
