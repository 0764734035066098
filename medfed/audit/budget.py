"""A time budget: which sections run, and how much each does, decided before anything is measured."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medfed.audit.contract import AuditContext, AuditSection
from medfed.audit.costs import Cost
from medfed.audit.plan import Plan, build_section, override_fields, settings
from medfed.audit.results import Budget, Reduced
from medfed.audit.tables import ESSENTIAL, costs
from medfed.errors import ScenarioError
from medfed.report.text import duration

DEFAULT = 600.0
"""Seconds, where nobody says otherwise: as long as a person waits for a page."""

NO_LIMIT = "none"

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Planned:
    """A section before it is measured.

    Attributes:
        name: of the section.
        section: with the settings that it will have; None where it is left out.
        seconds: that it is estimated to take; None where it does not say.
        full: the full values of the settings that the budget made cheaper.
        reason: why it is left out; empty where it runs.
    """

    name: str
    section: AuditSection | None
    seconds: float | None
    full: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def reduced(self) -> tuple[Reduced, ...]:
        """The settings that the budget made cheaper, with what they would be without it."""
        if self.section is None:
            return ()
        used = settings(self.name, self.section)
        return tuple(
            Reduced(section=self.name, setting=key, used=used[key], full=value) for key, value in self.full.items()
        )


def parse_budget(text: str) -> float | None:
    """``90s``, ``10m`` or ``1.5h`` in seconds; None for ``none``.

    Raises:
        ScenarioError: it is none of these, or zero.
    """
    if text.strip() == NO_LIMIT:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if found is None or float(found[1]) == 0.0:
        expected = f'expected a number with s, m or h, such as 10m, or "{NO_LIMIT}"'
        raise ScenarioError(f'--budget "{text}": {expected}')
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
    out, unless it is among those ``asked`` for by name or says what the report is about; then, as long as it fits, the
    next fuller settings that cost least more are taken. A setting of ``overrides`` is never touched. A section that
    states no cost is left out too, unless it is asked for. Kept sections count in full, so that the plan does not
    depend on what was measured before.
    """
    stated = costs()
    fields = override_fields(overrides, list(plan))
    ladders = {
        name: list(_ladder(name, section, stated.get(name), fields.get(name, {}), context))
        for name, section in plan.items()
    }
    if budget is None:
        return [ladder[0] for ladder in ladders.values()]
    stay = ESSENTIAL.union(asked)
    out = {
        name: "it states no cost, so that no budget can hold it; ask for it with --sections"
        for name, ladder in ladders.items()
        if ladder[0].seconds is None and name not in stay
    }
    steps = {name: len(ladder) - 1 for name, ladder in ladders.items() if name not in out}

    def cost(name: str, step: int) -> float:
        return ladders[name][step].seconds or 0.0

    def spare() -> float:
        return budget - sum(cost(name, step) for name, step in steps.items())

    while spare() < 0.0 and (removable := [name for name in steps if name not in stay]):
        dearest = max(removable, key=lambda name: cost(name, steps[name]))
        least = duration(cost(dearest, steps.pop(dearest)))
        out[dearest] = f"not within the budget of {duration(budget)}: at its cheapest it takes about {least}"
    while True:
        more = {name: cost(name, step - 1) - cost(name, step) for name, step in steps.items() if step}
        cheapest = min(more, key=more.__getitem__, default="")
        if not cheapest or more[cheapest] > spare():
            break
        steps[cheapest] -= 1
    return [
        Planned(name, None, None, reason=out[name]) if name in out else ladder[steps[name]]
        for name, ladder in ladders.items()
    ]


def as_reported(planned: Sequence[Planned], budget: float | None) -> Budget:
    """The plan as the report has it: its seconds, and what the budget made cheaper."""
    seconds = sum(each.seconds or 0.0 for each in planned)
    reduced = tuple(found for each in planned for found in each.reduced)
    return Budget(seconds=budget, planned_seconds=round(seconds, 1), reduced=reduced)


def _ladder(
    name: str, section: AuditSection, cost: Cost | None, fixed: Mapping[str, Any], context: AuditContext
) -> Iterator[Planned]:
    """The section as planned, and its cheaper settings where they save anything.

    Of those, a setting that saves nothing by itself in this context stays as it is.
    """
    if cost is None:
        yield Planned(name, section, None)
        return
    whole = cost.seconds(section, context)

    def seconds(fields: Mapping[str, Any]) -> float:
        return cost.seconds(build_section(name, {**fields, **fixed}), context)

    full, least = settings(name, section), whole
    yield Planned(name, section, whole)
    for cheaper in cost.cheaper:
        saving = {key: value for key, value in cheaper.items() if key not in fixed and seconds({key: value}) < whole}
        if (needed := seconds(saving)) < least:
            least, made = needed, build_section(name, {**saving, **fixed})
            used = settings(name, made)
            yield Planned(name, made, needed, {key: full[key] for key in full if used[key] != full[key]})
