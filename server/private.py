"""The server's side of differential privacy: clipped sums over a fixed denominator.

Weights, and the denominator, follow from what the sites stated when they joined, from ``federation.sites`` and from
``federation.sites_per_round``: from nothing that an update, or its absence, says.
"""

from collections.abc import Mapping

from medfed.config import Scenario
from medfed.messages import SiteInfo
from medfed.params import norm
from medfed.types import Update, Weights
from privacy.clipping import clip_factor
from privacy.mechanisms.contract import ClippedSum, ServerMechanism
from privacy.noise import Normal
from server.fold import MeanFold

Infos = Mapping[str, SiteInfo]
"""How the sites introduced themselves, by name."""


class PrivateSum:
    """Clips and sums the updates of one round; then noises their mean.

    Args:
        mechanism: clips, and adds the noise.
        weights: of every site that may answer.
        num_asked: how many sites are asked in a round.
        state: what the mechanism remembers.
        normal: standard normal draws.
    """

    def __init__(
        self, mechanism: ServerMechanism, weights: Mapping[str, float], num_asked: int, state: Weights, normal: Normal
    ) -> None:
        self._mechanism, self._weights, self._num_asked = mechanism, weights, num_asked
        self._state, self._normal = state, normal
        self._fold = MeanFold()
        self._num_within = self._num_clipped = 0

    def add(self, site: str, change: Weights, factor: float) -> None:
        """Add an update, scaled by the aggregator's ``factor`` first; zero is an update like others."""
        bound, length = self._mechanism.bound(self._state), factor * norm(change)
        self._fold.add(change, self._weights[site], factor * clip_factor(length, bound))
        self._num_within += length <= bound
        self._num_clipped += length > bound

    def noisy_mean(self) -> tuple[Weights, Weights]:
        """The mean over the fixed denominator, noised, and the mechanism's next state; the sum is used up."""
        clipped = ClippedSum(
            total=self._fold.total(),
            num_within=self._num_within,
            num_clipped=self._num_clipped,
            largest_weight=max(self._weights.values()),
            expected_weight=expected_weight(self._weights, self._num_asked),
            expected_sites=self._num_asked,
        )
        return self._mechanism.noisy_mean(clipped, self._state, self._normal)


def stated_weights(scenario: Scenario, infos: Infos) -> dict[str, float]:
    """The weight of each training site that ever joined, from the number of images that it stated then."""
    weigh = scenario.federation.strategy.weight
    return {
        site: weigh(Update(site, {}, infos[site].num_train, 1, {})) for site in scenario.training_sites if site in infos
    }


def expected_weight(weights: Mapping[str, float], num_asked: int) -> float:
    """The weight of ``num_asked`` average sites."""
    return num_asked * sum(weights.values()) / len(weights)


def asked_per_round(scenario: Scenario) -> int:
    """How many sites are asked in a round."""
    return scenario.num_asked
