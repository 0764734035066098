"""Differential privacy at the site: how it trains, and what is made of an update before it leaves."""

from dataclasses import dataclass, replace

from flwr.app import Context
from torch import nn

from client.released import site_ledger
from client.site import is_simulated, site_name
from client.strategies.contract import Outcome
from client.trainers.contract import Trainer
from medfed.config import Scenario
from medfed.messages import Request
from medfed.models.initial import trained_entries
from medfed.training.local import Correction, LocalResult
from medfed.types import ImageSet
from privacy.mechanisms.contract import SharedMechanism, SiteMechanism, TrainingMechanism
from privacy.noise import Normal, seeded_normal, system_normal
from privacy.training.local import train_private
from privacy.training.randomness import seeded_randomness, system_randomness
from privacy.training.units import num_units


def protected(outcome: Outcome, request: Request, context: Context) -> Outcome:
    """The outcome as it may leave; the same where the scenario's mechanism is not one that noises updates at sites.

    Whether the noise can be drawn again is for the site's own configuration to say, never for a message. A share of
    noise never is used twice: in a simulation it is of the seed and of how often the round was released before.
    """
    scenario = request.scenario
    mechanism = scenario.privacy.mechanism
    if not isinstance(mechanism, SiteMechanism | SharedMechanism):
        return outcome
    normal = _simulated(request, context) if is_simulated(context) else system_normal
    shared, trained = {name: outcome.change[name] for name in request.weights}, trained_entries(scenario)
    if isinstance(mechanism, SharedMechanism):
        noised = mechanism.share(shared, trained, scenario.num_asked, normal)
    else:
        noised = mechanism.protect(shared, trained, normal)
    return replace(outcome, change=outcome.change | noised)


def _simulated(request: Request, context: Context) -> Normal:
    scenario = request.scenario
    parts = (scenario.seed, site_name(context, scenario), request.round, "privacy")
    if isinstance(scenario.privacy.mechanism, SharedMechanism):
        before = len(site_ledger(context, request).of(request.run, request.round))
        return seeded_normal(*parts, *((before,) if before else ()))
    return seeded_normal(*parts)


def private_trainer(request: Request, context: Context) -> Trainer | None:
    """What trains in the place of the scenario's trainer where every step is noised; None where none is.

    As with noise on updates, the site's own configuration says where coins and noise come from.
    """
    if not isinstance(request.scenario.privacy.mechanism, TrainingMechanism):
        return None
    return PrivateTrainer(simulated=is_simulated(context))


@dataclass(frozen=True)
class PrivateTrainer:
    """It is a :class:`client.trainers.contract.Trainer`; ``simulated``: all that it draws is of the seed."""

    simulated: bool

    def __call__(
        self,
        model: nn.Module,
        images: ImageSet,
        scenario: Scenario,
        site: str,
        round_number: int,
        correct: Correction | None = None,
    ) -> LocalResult:
        """Train with DP-SGD."""
        seeded = seeded_randomness(scenario.seed, site, round_number)
        randomness = seeded if self.simulated else system_randomness()
        return train_private(model, images, scenario, site, round_number, randomness, correct)


def num_patients(scenario: Scenario, images: ImageSet) -> int:
    """How many patients the site says it has; 0 where the mechanism does not draw patients."""
    mechanism = scenario.privacy.mechanism
    of_patients = isinstance(mechanism, TrainingMechanism) and mechanism.unit == "patient"
    return num_units(images, "patient") if of_patients else 0
