"""A malicious site of a simulation (``[adversary]``): other training images, another update, another count.

What a behaviour must know of others' honest updates is computed here: the site that writes a forged update trains those
others itself, from the same global weights, on the images and the states of theirs that lie on the same machine. Their
training draws from streams of their own, so this gives the updates that they send (or would send, were they honest),
bit for bit as they are before compression. No message waits for another, and what is sent depends on neither order nor
number of workers, nor on whether a run was resumed. A colluder's process holds the updates of all whom it knows.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from flwr.app import Context, RecordDict

from client.home import site_state
from client.local import local_outcome
from client.private import private_trainer, protected
from client.site import is_simulated, site_data, site_name
from client.strategies.contract import Outcome
from medfed.config import Scenario
from medfed.errors import SiteError
from medfed.files import file_name
from medfed.messages import Request
from medfed.params import flatten, unflatten
from medfed.rng import numpy_generator
from medfed.types import SiteData, Task, Weights
from robustness.byzantine.contract import Byzantine, View

Forge = Callable[[Outcome], Outcome]
"""From what training gave to what is made of it before it leaves."""

_UPDATE = "update"


def refuse_outside_simulation(context: Context, scenario: Scenario) -> None:
    """A site of its own plays no adversary, whoever asks.

    Raises:
        SiteError: the scenario has malicious sites, and this node is no simulation's.
    """
    if scenario.adversary.sites and not is_simulated(context):
        raise SiteError("the scenario has malicious sites ([adversary]), which a deployment does not play")


def claimed(scenario: Scenario, site: str, count: int) -> int:
    """How many training images the site says it has."""
    return int(scenario.adversary.behaviour.claim(count)) if site in scenario.malicious_sites else count


def with_poison(data: SiteData, scenario: Scenario) -> SiteData:
    """The site's data, with other training images where its behaviour says so."""
    if data.site not in scenario.malicious_sites:
        return data
    return _poisoned(data, scenario.adversary.behaviour, scenario.model_task, scenario.seed)


@lru_cache(maxsize=64)
def _poisoned(data: SiteData, behaviour: Byzantine, task: Task, seed: int) -> SiteData:
    return replace(data, train=behaviour.poison(data.train, task, numpy_generator(seed, data.site, "poison")))


def forger(request: Request, context: Context) -> Forge | None:
    """What this site makes of its update in this round; None for an honest site.

    It takes the place of the clip and the noise that an honest site applies (:mod:`client.private`).
    """
    scenario, site = request.scenario, site_name(context, request.scenario)
    if site not in scenario.malicious_sites:
        return None

    def forge(outcome: Outcome) -> Outcome:
        own = _groups(outcome, request.weights)
        known = _known(request, context, site) if scenario.adversary.behaviour.colludes else {}
        sent = {name: _forged(request, site, name, group, known) for name, group in own.items()}
        count = claimed(scenario, site, outcome.result.num_examples)
        return replace(
            outcome,
            result=replace(outcome.result, num_examples=count),
            change=outcome.change | sent.pop(_UPDATE),
            extras=sent,
        )

    return forge


def _forged(
    request: Request, site: str, name: str, own: Weights, known: Mapping[str, Mapping[str, Weights]]
) -> Weights:
    """One group of tensors as it is sent: floating-point values are the behaviour's, integer ones stay honest."""
    scenario = request.scenario
    floating = {entry: value for entry, value in own.items() if value.is_floating_point()}
    others = [flatten({entry: groups[name][entry] for entry in floating}) for _, groups in sorted(known.items())]
    vector = flatten(floating)
    rows = torch.stack(others) if others else torch.empty(0, len(vector))
    view = View(vector, rows, len(scenario.training_sites), len(scenario.malicious_sites), request.round)
    generator = numpy_generator(scenario.seed, site, request.round, "byzantine", name)
    return own | unflatten(scenario.adversary.behaviour(view, generator), floating)


def _groups(outcome: Outcome, shared: Weights) -> dict[str, Weights]:
    """All that leaves the site: the shared entries of the update, and every group of extra tensors."""
    assert _UPDATE not in outcome.extras, "a strategy's extra tensors have a name of their own"
    return {_UPDATE: {name: outcome.change[name] for name in shared}, **outcome.extras}


def _known(request: Request, context: Context, site: str) -> dict[str, dict[str, Weights]]:
    """Honest updates of those whom the adversary sees, this site among them if it is one of them."""
    scenario = request.scenario
    malicious = scenario.malicious_sites
    if scenario.adversary.knowledge == "everyone":
        seen = [name for name in scenario.training_sites if name not in malicious]
    else:
        seen = list(malicious)
    found = _trained(request.run, request.round, _digest(request))
    for name in seen:
        if name not in found:
            found[name] = _groups(_honest(request, _at(context, name)), request.weights)
    return {name: found[name] for name in seen}


def _honest(request: Request, context: Context) -> Outcome:
    """What an honest site at ``context`` sends in this round, its clip and noise included."""
    kept = site_state(context, request.scenario, request.run).load(request.round - 1)
    outcome = local_outcome(request, site_data(context, request.scenario), kept, private_trainer(request, context))
    return protected(outcome, request, context)


def _at(context: Context, site: str) -> Context:
    """The context of another site of the same machine."""
    config = dict(context.node_config) | {"site": site}
    if "home" in config:
        config["home"] = str(Path(str(config["home"])).parent / file_name(site))
    return Context(context.run_id, context.node_id, config, RecordDict(), {})


@lru_cache(maxsize=1)
def _trained(run: str, round_number: int, digest: bytes) -> dict[str, dict[str, Weights]]:
    """Site -> what it would send; filled as sites are trained, and forgotten with the next weights."""
    return {}


def _digest(request: Request) -> bytes:
    """Tells the starting points of a round's stages apart."""
    found = hashlib.blake2b(request.scenario.travelling_text().encode())
    for weights in (request.weights, *request.extras.values()):
        for value in weights.values():
            found.update(value.contiguous().numpy().tobytes())
    return found.digest()
