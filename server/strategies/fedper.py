"""FedPer: personalization layers stay at the sites (Arivazhagan et al., arXiv:1912.00818, Algorithms 1 and 2)."""

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field
from torch import nn

from medfed.errors import ScenarioError
from medfed.models.entries import parameter_names
from medfed.registry import plugin
from server.strategies.fedavg import FedAvg


@plugin
class FedPer(FedAvg):
    """Federated averaging of all but some layers, of which each site keeps its own.

    Attributes:
        layers: which entries of the model's state dict are personal: name patterns, ``*`` for any text.
    """

    layers: Annotated[tuple[str, ...], Field(min_length=1)] = ("head.*",)

    def personal(self, model: nn.Module) -> frozenset[str]:
        """All entries that match a pattern.

        Raises:
            ScenarioError: a pattern matches nothing, or together they leave nothing to share.
        """
        names = list(model.state_dict())
        unmatched = [pattern for pattern in self.layers if not any(fnmatchcase(name, pattern) for name in names)]
        if unmatched:
            raise _misfit(f"no entry of the model matches {unmatched}", names)
        found = frozenset(name for name in names if any(fnmatchcase(name, pattern) for pattern in self.layers))
        if found >= parameter_names(model):
            raise _misfit(f"{list(self.layers)} match every parameter, so that nothing is shared", names)
        return found


def _misfit(fault: str, names: list[str]) -> ScenarioError:
    top = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
    return ScenarioError(
        f'key "federation.strategy.layers": {fault}; expected patterns such as "head.*" over entries that begin with: '
        f"{top}"
    )
