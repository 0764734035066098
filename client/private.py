"""Differential privacy at the site: what is made of an update before it leaves (``privacy.mechanism = "local"``)."""

from dataclasses import replace

from flwr.app import Context

from client.site import is_simulated, site_name
from client.strategies.contract import Outcome
from medfed.messages import Request
from medfed.models.initial import trained_entries
from privacy.mechanisms.contract import SiteMechanism
from privacy.noise import seeded_normal, system_normal


def protected(outcome: Outcome, request: Request, context: Context) -> Outcome:
    """The outcome as it may leave; the same where the scenario's mechanism is not one of the sites.

    Whether the noise can be drawn again is for the site's own configuration to say, never for a message.
    """
    scenario = request.scenario
    mechanism = scenario.privacy.mechanism
    if not isinstance(mechanism, SiteMechanism):
        return outcome
    seeded = seeded_normal(scenario.seed, site_name(context, scenario), request.round, "privacy")
    normal = seeded if is_simulated(context) else system_normal
    shared = {name: outcome.change[name] for name in request.weights}
    return replace(outcome, change=outcome.change | mechanism.protect(shared, trained_entries(scenario), normal))
