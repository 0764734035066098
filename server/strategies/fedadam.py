"""FedAdam (Reddi et al., ICLR 2021, Algorithm 2): v <- beta2 v + (1 - beta2) D^2.

See :mod:`server.strategies.adaptive`.
"""

from torch import Tensor

from medfed.registry import plugin
from server.strategies.adaptive import Adaptive
from server.strategies.fields import Decay


@plugin
class FedAdam(Adaptive):
    """The server steps by Adam, without its bias correction.

    Attributes:
        beta2: decay of the second moment.
    """

    beta2: Decay = 0.99

    def second_moment(self, old: Tensor, square: Tensor) -> Tensor:
        """beta2 v + (1 - beta2) D^2."""
        return self.beta2 * old + (1.0 - self.beta2) * square
