"""FedAdagrad (Reddi et al., ICLR 2021, Algorithm 2): v <- v + D^2; see :mod:`server.strategies.adaptive`."""

from torch import Tensor

from medfed.registry import plugin
from server.strategies.adaptive import Adaptive
from server.strategies.fields import Decay


@plugin
class FedAdagrad(Adaptive):
    """The server steps by Adagrad: steps shrink as changes add up. ``beta1`` is 0, as in the paper's experiments."""

    beta1: Decay = 0.0

    def second_moment(self, old: Tensor, square: Tensor) -> Tensor:
        """V + D^2."""
        return old + square
