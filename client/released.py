"""The site's ledger around a round (:mod:`privacy.ledger.account`), and the site's own policy on what it may spend.

From the site's own configuration, never from a message: ``home`` (or ``ledger``), the folder of the ledger, which
spans all runs of the site; ``budget-record``, ``budget-patient`` and ``budget-site``, the largest epsilon per unit, at
``budget-delta``. A site with a budget for a unit sends no update without noise for that unit; counts, and scores of
validation and test images, are outside of it. The scenario's own budget holds as well, wherever it is run.
"""

import os
from dataclasses import replace
from pathlib import Path

from flwr.app import Context

from client.home import site_home
from client.site import is_simulated, site_name
from medfed.config import Scenario
from medfed.errors import SiteError
from medfed.exchanged import RELEASES
from medfed.files import file_name
from medfed.messages import Request
from medfed.types import SiteData, Update
from privacy.ledger.account import Account, Work
from privacy.ledger.budget import UNITS, Budget
from privacy.ledger.outbox import Outbox
from privacy.ledger.store import Ledger
from privacy.mechanisms.contract import ServerMechanism, SharedMechanism, TrainingMechanism
from privacy.release import Release
from privacy.training.plan import round_release
from privacy.training.units import num_units

_DELTA = 1e-5


def released(request: Request, context: Context, data: SiteData, work: Work) -> tuple[Update, float]:
    """What leaves this site in this round, from ``work`` or from its ledger.

    Raises:
        PrivacyBudgetError: the release would exceed what the site may spend; nothing was trained.
        SiteError: there is something to write down, and no folder for it, no accountant for it, or no secret noise.
    """
    release = planned_release(request, data)
    own = own_budgets(context)
    if release is None:
        for budget in own:
            budget.require((), None)
        return work()
    if own and is_simulated(context):
        raise SiteError(
            "--node-config budget-*: expected noise that nobody can draw again, but this site draws it from the "
            "scenario's seed; remove simulated=true and MEDFED_SIMULATED=1"
        )
    budgets = [*own, *scenario_budgets(request.scenario)]
    ledger = site_ledger(context, request)
    anew = isinstance(request.scenario.privacy.mechanism, SharedMechanism)
    account = Account(ledger, Outbox(ledger.folder, request.run), request.run, budgets, anew)
    update, seconds, releases = account.released(release, request.weights, work)
    return replace(update, metrics={**update.metrics, RELEASES: releases}), seconds


def planned_release(request: Request, data: SiteData) -> Release | None:
    """What this site is about to release in this round, as the scenario has it; None where it adds no noise itself."""
    scenario = request.scenario
    mechanism = scenario.privacy.mechanism
    if isinstance(mechanism, TrainingMechanism):
        return round_release(mechanism, scenario.training, num_units(data.train, mechanism.unit), request.round)
    if isinstance(mechanism, ServerMechanism):
        return None
    release: Release | None = mechanism.release(request.round, 1.0)
    return release


def site_ledger(context: Context, request: Request) -> Ledger:
    """This site's ledger.

    Raises:
        SiteError: the configuration names no folder for it.
    """
    site = site_name(context, request.scenario)
    folder = str(context.node_config.get("ledger", "")) or _of_all_sites(site) or site_home(context, request.scenario)
    if not folder:
        raise SiteError('what is released with noise is written down: expected --node-config home="FOLDER"')
    return Ledger(Path(folder), site)


def own_budgets(context: Context) -> list[Budget]:
    """What this site's own configuration allows for.

    Raises:
        SiteError: a number in it is none, or out of range.
    """
    config = context.node_config
    if not any(f"budget-{unit}" in config for unit in UNITS):
        return []
    delta = _number(context, "budget-delta", _DELTA)
    if delta >= 1.0:
        raise SiteError(f"--node-config budget-delta: expected a number below 1, got {delta}")
    return [Budget(unit, _number(context, f"budget-{unit}"), delta) for unit in UNITS if f"budget-{unit}" in config]


def scenario_budgets(scenario: Scenario) -> list[Budget]:
    """What the scenario allows each of its sites."""
    privacy = scenario.privacy
    limits = ((unit, getattr(privacy.budget, unit)) for unit in UNITS)
    return [Budget(unit, limit, privacy.delta, privacy.accountant) for unit, limit in limits if limit is not None]


def _number(context: Context, key: str, default: float = 0.0) -> float:
    value = context.node_config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise SiteError(f"--node-config {key}: expected a number above 0, got {value!r}")
    return float(value)


def _of_all_sites(site: str) -> str:
    """In a simulation on a runtime that cannot configure its nodes one by one."""
    folder = os.environ.get("MEDFED_LEDGER", "")
    return str(Path(folder) / file_name(site)) if folder else ""
