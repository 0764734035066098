"""A time budget: which sections run, and how much each does, decided before anything is measured."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medfed.audit.contract import AuditContext, AuditSection
from medfed.audit.costs import Cost
from medfed.audit.plan import Plan, build_section, override_fields, settings
from medfed.audit.tables import costs
from medfed.errors import ScenarioError
from medfed.report.text import duration

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Planned:
    """A section before it is measured.

    Attributes:
        name: of the section.
        section: with the settings that it will have; None where it is left out.
        seconds: that it is estimated to take; None where it does not say.
        changed: settings that the budget made cheaper.
        reason: why it is left out; empty where it runs.
    """

    name: str
    section: AuditSection | None
    seconds: float | None
    changed: Mapping[str, Any]
    reason: str = ""


def parse_budget(text: str) -> float:
    """``90s``, ``10m`` or ``1.5h`` in seconds.

    Raises:
        ScenarioError: it is none of these, or zero.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if found is None or float(found[1]) == 0.0:
        raise ScenarioError(f'--budget "{text}": expected a number with s, m or h, such as 10m')
    return float(found[1]) * _UNITS[found[2]]


def fit(
    plan: Plan,
    context: AuditContext,
    budget: float | None = None,
    overrides: Sequence[str] = (),
    asked: Sequence[str] = (),
) -> list[Planned]:
    """What of ``plan`` is done within ``budget`` seconds of :mod:`medfed.audit.costs`; all of it without one.

    Every section starts with its cheapest settings; while these are too much together, the most expensive one is left
    out; then, as long as it fits, the next fuller settings that cost least more are taken. A setting of ``overrides``
    is never touched. A section that states no cost is left out too, unless it is among those ``asked`` for by name.
    Kept sections count in full, so that the plan does not depend on what was measured before.
    """
    stated = costs()
    fields = override_fields(overrides, list(plan))
    ladders = {
        name: _ladder(name, section, stated.get(name), fields.get(name, {}), context) for name, section in plan.items()
    }
    if budget is None:
        return [ladder[0] for ladder in ladders.values()]
    out = {
        name: "it states no cost, so that no budget can hold it; ask for it with --sections"
        for name, ladder in ladders.items()
        if ladder[0].seconds is None and name not in asked
    }
    steps = {name: len(ladder) - 1 for name, ladder in ladders.items() if name not in out}

    def cost(name: str, step: int) -> float:
        return ladders[name][step].seconds or 0.0

    def spare() -> float:
        return budget - sum(cost(name, step) for name, step in steps.items())

    while steps and spare() < 0.0:
        dearest = max(steps, key=lambda name: cost(name, steps[name]))
        least = duration(cost(dearest, steps.pop(dearest)))
        out[dearest] = f"not within the budget of {duration(budget)}: at its cheapest it takes about {least}"
    while True:
        more = {name: cost(name, step - 1) - cost(name, step) for name, step in steps.items() if step}
        cheapest = min(more, key=more.__getitem__, default="")
        if not cheapest or more[cheapest] > spare():
            break
        steps[cheapest] -= 1
    return [
        Planned(name, None, None, {}, out[name]) if name in out else ladder[steps[name]]
        for name, ladder in ladders.items()
    ]


def _ladder(
    name: str, section: AuditSection, cost: Cost | None, fixed: Mapping[str, Any], context: AuditContext
) -> list[Planned]:
    """The section as planned, and its cheaper settings where they save anything."""
    if cost is None:
        return [Planned(name, section, None, {})]
    found = [Planned(name, section, cost.seconds(section, context), {})]
    for cheaper in cost.cheaper:
        changed = {key: value for key, value in cheaper.items() if key not in fixed}
        made = build_section(name, {**changed, **fixed})
        seconds = cost.seconds(made, context)
        if seconds < (found[-1].seconds or 0.0):
            now, full = settings(name, made), settings(name, section)
            found.append(Planned(name, made, seconds, {key: now[key] for key in now if now[key] != full[key]}))
    return found
