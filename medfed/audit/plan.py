"""Which sections run, with which thresholds and budgets: from what was typed to plug-ins."""

import difflib
import json
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from medfed import registry
from medfed.audit.contract import AuditSection
from medfed.audit.tables import ANNOUNCED
from medfed.config_errors import explain
from medfed.errors import ScenarioError

Plan = dict[str, AuditSection]
"""Name -> section, in the order of the report."""

_KIND = "audit_section"
_OPTION = "--set"


def make_plan(names: Sequence[str] = (), overrides: Sequence[str] = ()) -> Plan:
    """The sections ``names``, or all there are, with ``SECTION.FIELD=VALUE`` set, values written as in TOML.

    Raises:
        ScenarioError: no such section or field, or the value is not as it must be; one line per fault.
    """
    known = list(registry.table(_KIND))
    unknown = [name for name in names if name not in known]
    if unknown:
        registry.lookup(_KIND, unknown[0])  # says what there is; a user's own section may be named by its import path
    chosen = [*(name for name in known if not names or name in names), *dict.fromkeys(unknown)]
    fields = override_fields(overrides, chosen)
    return {name: build_section(name, fields.get(name, {})) for name in chosen}


def in_every_section(field: str, value: str, names: Sequence[str] = ()) -> tuple[str, ...]:
    """``SECTION.field=value`` for each section of ``names``, or of all, that has the field.

    Raises:
        ScenarioError: no such section, or none of them has it.
    """
    chosen = list(dict.fromkeys(names)) or list(registry.table(_KIND))
    owners = [name for name in chosen if field in registry.lookup(_KIND, name).__dataclass_fields__]
    if not owners:
        raise ScenarioError(f'no section of this audit has the field "{field}"; asked for: {", ".join(chosen)}')
    return tuple(f"{name}.{field}={value}" for name in owners)


def left_out(plan: Mapping[str, Any]) -> dict[str, str]:
    """Sections that are not in ``plan`` -> why, in the order of a full report."""
    known = registry.table(_KIND)
    reasons = {
        name: "not asked for (--sections)" if name in known else "not part of this version" for name in ANNOUNCED
    }
    reasons |= {name: "not asked for (--sections)" for name in known if name not in reasons}
    return {name: reason for name, reason in reasons.items() if name not in plan}


def section_title(name: str) -> str:
    """What a person calls a section, whether or not it is there."""
    known = registry.table(_KIND)
    return str(known[name].title) if name in known else ANNOUNCED.get(name, name)


def settings(name: str, section: AuditSection) -> dict[str, Any]:
    """Every field of a section, as it ran."""
    return {key: value for key, value in registry.describe(_KIND, section).items() if key != "name"}


def as_command(subject: str, plan: Plan, seed: int, budget: float | None, asked: Sequence[str] = ()) -> str:
    """The command that gives this audit again: what was asked for, with every setting that is not the default."""
    parts = ["medfed", "audit", subject, "--seed", str(seed), "--budget", budget_text(budget)]
    parts += ["--sections", ",".join(asked)] if asked else []
    for name, section in plan.items():
        default = settings(name, build_section(name, {}))
        changed = {key: value for key, value in settings(name, section).items() if value != default[key]}
        parts += [part for key, value in changed.items() for part in (_OPTION, f"{name}.{key}={toml_value(value)}")]
    return " ".join(part if part == subject else shlex.quote(part) for part in parts)


def budget_text(budget: float | None) -> str:
    """Seconds as ``--budget`` takes them."""
    return "none" if budget is None else f"{budget:g}s"


def build_section(name: str, fields: Mapping[str, Any]) -> AuditSection:
    """A section with these fields, the others at their defaults.

    Raises:
        ScenarioError: no such field, or a value is not as it must be.
    """
    try:
        section: AuditSection = registry.build(_KIND, {"name": name, **fields})
    except ValidationError as error:
        raise ScenarioError(explain(error, registry.lookup(_KIND, name), f"{_OPTION} {name}")) from error
    return section


def override_fields(overrides: Sequence[str], chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``SECTION.FIELD=VALUE`` as section -> field -> value.

    Raises:
        ScenarioError: it is not written so, or the section is not among those ``chosen``.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        name, dot, field = key.strip().rpartition(".")
        if not (equals and dot and name and field):
            raise ScenarioError(f'{_OPTION} "{text}": expected SECTION.FIELD=VALUE, such as performance.threshold=0.9')
        if name not in chosen:
            near = difflib.get_close_matches(name, chosen, n=1)
            hint = f'did you mean "{near[0]}"? ' if near else ""
            raise ScenarioError(
                f'{_OPTION} "{text}": no section "{name}" in this audit; {hint}there are: {", ".join(chosen)}'
            )
        found.setdefault(name, {})[field] = _value(value)
    return found


def _value(text: str) -> Any:
    """A TOML value, arrays as tuples; what is none is text."""
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text.strip()
    value = found["value"] if len(found) == 1 else text
    return tuple(value) if isinstance(value, list) else value


def toml_value(value: Any) -> str:
    """A value on one line, as in TOML."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {toml_value(inner)}' for key, inner in value.items() if inner is not None)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value)
