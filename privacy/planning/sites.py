"""What each site of a scenario would release: units, and with them steps and sampling rate, differ by site."""

from dataclasses import dataclass

from medfed.config import Scenario
from medfed.data.dataset import open_dataset
from medfed.data.location import resolve_path
from medfed.errors import ScenarioError
from privacy.mechanisms.contract import SharedMechanism, TrainingMechanism
from privacy.planning.noise import Schedule
from privacy.release import Unit
from privacy.training.plan import round_plan
from privacy.training.units import num_units


@dataclass(frozen=True)
class Planned:
    """One site, or several that are alike: ``count`` units of the kind ``unit``."""

    name: str
    unit: Unit
    count: int
    schedule: Schedule


def planned_sites(scenario: Scenario) -> list[Planned]:
    """Every training site of ``scenario``, or one line for all where whole sites are protected.

    Raises:
        ScenarioError: it has no mechanism, or no data to count. DataError: the data are not as they must be.
    """
    mechanism = scenario.privacy.mechanism
    if not scenario.privacy.is_on:
        raise ScenarioError('key "privacy.mechanism": is "none"; plan with one of: medfed list mechanisms')
    if not isinstance(mechanism, TrainingMechanism):
        honest = mechanism.honest if isinstance(mechanism, SharedMechanism) else 1.0
        return [Planned("every site", "site", 1, Schedule(1.0, 1, honest))]
    if not scenario.data.path:
        raise ScenarioError('key "data.path": is missing; without data, give --rounds, --batch and --num')
    dataset = open_dataset(resolve_path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)
    wanted = set(scenario.federation.sites or dataset.sites) - set(scenario.federation.leave_out)
    found = []
    for name in (name for name in dataset.sites if name in wanted):
        count = num_units(dataset.site(name).train, mechanism.unit)
        plan = round_plan(scenario.training, count)
        found.append(Planned(name, mechanism.unit, count, Schedule(plan.rate, plan.num_steps)))
    return found
