"""What ``[adversary]`` needs of a scenario, before anything is written, and what is said of it afterwards."""

from medfed.config import Scenario
from medfed.errors import ScenarioError
from medfed.registry import name_of
from robustness.byzantine.contract import Cast


def check_adversary(scenario: Scenario) -> None:
    """Refuse malicious sites that do not train, that leave nobody honest, or whose behaviour does not suit the task.

    Args:
        scenario: with ``federation.sites`` filled in.

    Raises:
        ScenarioError: names the key.
    """
    adversary, sites = scenario.adversary, scenario.training_sites
    if not adversary.sites:
        return
    if isinstance(adversary.sites, tuple):
        unknown = sorted(set(adversary.sites) - set(sites))
        if unknown:
            raise ScenarioError(
                f'key "adversary.sites": {", ".join(unknown)} do not train; expected {", ".join(sites)}'
            )
    number = adversary.sites if isinstance(adversary.sites, int) else len(adversary.sites)
    if number >= len(sites):
        expected = f"expected at most {len(sites) - 1} of the {len(sites)} sites that train"
        raise ScenarioError(f'key "adversary.sites": leaves no honest site; {expected}, got {number}')
    everyone = adversary.knowledge == "everyone"
    cast = Cast(len(sites), number, len(sites) - number if everyone else number)
    if misfit := adversary.behaviour.misfit(scenario.model_task, cast):
        raise ScenarioError(f'key "adversary.behaviour": {misfit}')
    if everyone and adversary.behaviour.colludes and scenario.federation.sites_per_round:
        raise ScenarioError(
            'key "adversary.knowledge": "everyone" would know updates of sites that are not asked in a round; expected '
            '"colluders", or federation.sites_per_round = 0'
        )


def malicious_warning(scenario: Scenario) -> list[str]:
    """A line for the summary of a run with malicious sites, so that nobody takes its model for another."""
    sites = scenario.malicious_sites
    if not sites:
        return []
    behaviour = name_of("byzantine", scenario.adversary.behaviour)
    return [f"malicious sites were played ([adversary], {behaviour}): {', '.join(sites)}; the model is for study only"]
