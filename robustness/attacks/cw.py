"""The attack of Carlini and Wagner (S&P 2017): the least Euclidean change that fools, by Adam and a search over c."""

from typing import Annotated, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.losses import margin
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import Share, Steps, wide
from robustness.attacks.threat import Norm

Images = Float[Tensor, "batch channel *space"]
PerImage = Float[Tensor, " batch"]

_BETA1, _BETA2, _TINY = 0.9, 0.999, 1e-8


class _Balance(NamedTuple):
    """The binary search over c, one row per image."""

    c: PerImage
    low: PerImage
    high: PerImage


class _Descent(NamedTuple):
    """Adam on the change, one row per image."""

    change: Images
    mean: Images
    square: Images
    won: Bool[Tensor, " batch"]
    balance: _Balance


@plugin
class CW:
    """Make ``|x' - x|^2 + c max(0, confidence - margin)`` small, with c as small as still fools.

    The length is in widths of the range, so that the units of eps and of the input do not change what c weighs.

    The paper keeps the range by x' = (tanh w + 1) / 2, which has no gradient at pixels that are exactly at its ends
    (the black border of a film); here the change is clipped to the range, so that these pixels move. The margin is in
    scaled scores (see losses), so c means the same for every model.

    Attributes:
        steps: of Adam per value of c.
        searches: values of c tried.
        rate: Adam's step as a share of the range.
        c: the first value.
        confidence: margin asked for, in scaled scores.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("l2",)
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = True
    whole_set: ClassVar[bool] = False

    steps: Steps = 100
    searches: Steps = 5
    rate: Share = 0.01
    c: Share = 1.0
    confidence: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Adam for each c, then c smaller where it fooled and larger where not."""
        first = torch.full_like(search.images.flatten(1)[:, 0], self.c)
        balance = _Balance(first, torch.zeros_like(first), torch.full_like(first, torch.inf))
        for count in range(self.searches):
            if not search.num_active:
                return
            zero = torch.zeros_like(search.images)
            won = torch.zeros(len(zero), dtype=torch.bool, device=zero.device)
            state = self._descend(search, _Descent(zero, zero, zero, won, balance))
            balance = _halve(state)
            search.report((count + 1) / self.searches)

    def _descend(self, search: Search, state: _Descent) -> _Descent:
        bounds = Bounds.of(search.threat, search.images)
        per_range = bounds.per_unit / search.threat.width
        for step in range(1, self.steps + 1):
            found = search.evaluate(search.images + state.change, margin, gradient=True)
            change = found.points - search.images
            c = torch.where(found.loss < self.confidence + 1e-6, state.balance.c, 0.0)
            slope = 2 * change * per_range**2 - wide(c, change) * found.gradient
            mean = _BETA1 * state.mean + (1 - _BETA1) * slope
            square = _BETA2 * state.square + (1 - _BETA2) * slope**2
            root = (square / (1 - _BETA2**step)).sqrt() + _TINY
            move = self.rate * (bounds.high - bounds.low) * (mean / (1 - _BETA1**step)) / root
            won = state.won | (found.loss > self.confidence)
            state = _kept(search, _Descent(change - move, mean, square, won, state.balance))
            if not search.num_active:
                return state
        search.evaluate(search.images + state.change)
        return _kept(search, state)


def _kept(search: Search, state: _Descent) -> _Descent:
    change, mean, square, won, *balance = search.keep(*state[:-1], *state.balance)
    return _Descent(change, mean, square, won, _Balance(*balance))


def _halve(state: _Descent) -> _Balance:
    """The middle of what is known to fool and what is not; ten times more where nothing fooled yet."""
    c, low, high = state.balance
    high, low = torch.where(state.won, c, high), torch.where(state.won, low, c)
    return _Balance(torch.where(high.isfinite(), (low + high) / 2, c * 10), low, high)
