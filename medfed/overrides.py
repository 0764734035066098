"""Changes of a scenario by dotted keys: ``KEY=VALUE`` as typed, keys given short, and what a changed key replaces."""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from medfed.errors import ScenarioError
from medfed.section import PluginKind

EXCLUSIVE: dict[str, str] = {
    "training.local_epochs": "training.local_steps",
    "training.local_steps": "training.local_epochs",
}
"""Key -> the one that it replaces: to change one alone drops the other, since TOML cannot say "no value"."""

_MAX_NEAR = 3


def parse_override(text: str, model: type[BaseModel], option: str = "--set") -> tuple[str, Any]:
    """``KEY=VALUE`` -> full key and value; what is no TOML value is taken as text: ``--set name=trial``.

    Raises:
        ScenarioError: it is not of that form, or :func:`full_key` refuses the key.
    """
    key, value = split_override(text, model, option)
    try:
        found = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return key, value.strip()
    return key, found["value"] if len(found) == 1 else value


def split_override(text: str, model: type[BaseModel], option: str) -> tuple[str, str]:
    """``KEY=VALUE`` -> full key and the value as it was typed."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", key):
        raise ScenarioError(f'{option} "{text}": expected KEY=VALUE, for example training.rounds=3')
    return full_key(key, model, option), value


def full_key(key: str, model: type[BaseModel], option: str = "--set") -> str:
    """The dotted key from the top that ``key`` is short for: ``strategy.name`` -> ``federation.strategy.name``.

    The table may be left out where only one table has a key of that first name; a key of the top level is full.

    Raises:
        ScenarioError: several tables have it, or none; names the candidates.
    """
    first, dot, rest = key.partition(".")
    if first in model.model_fields:
        return key
    found = _tables_of(model).get(first, [])
    if len(found) == 1:
        return found[0] + dot + rest
    if found:
        candidates = " or ".join(f'"{path}{dot}{rest}"' for path in found)
        raise ScenarioError(f'{option} key "{key}": is short for several; did you mean {candidates}?')
    names = {**_tables_of(model), **{name: [name] for name in model.model_fields}}
    near = [path for name in difflib.get_close_matches(first, names, _MAX_NEAR, cutoff=0.6) for path in names[name]]
    candidates = " or ".join(f'"{path}{dot}{rest}"' for path in near[:_MAX_NEAR])
    hint = f"did you mean {candidates}? " if near else ""
    raise ScenarioError(f'{option} key "{key}": unknown key; {hint}allowed here: {", ".join(model.model_fields)}')


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Key -> its last part, the one before it where that is ``name``; the whole key where two would be alike."""
    short = {key: key.removesuffix(".name").rpartition(".")[2] for key in keys}
    return {key: name if list(short.values()).count(name) == 1 else key for key, name in short.items()}


def change(values: dict[str, Any], changes: Mapping[str, Any], model: type[BaseModel]) -> None:
    """Set dotted keys in place, a table before what is in it.

    Another ``name`` makes another plug-in, which has none of the old one's fields: they are dropped, and those in
    ``changes`` set. A key of :data:`EXCLUSIVE` drops its rival, unless both are set.
    """
    for key in sorted(changes, key=lambda key: (key.count("."), not key.endswith(".name"))):
        if _is_another_plugin(values, key, changes[key], model):
            _set(values, key.removesuffix(".name"), {})
        _set(values, key, changes[key])
        rival = EXCLUSIVE.get(key)
        if rival is not None and rival not in changes:
            table, _, last = rival.partition(".")
            values[table].pop(last, None)


def _tables_of(model: type[BaseModel]) -> dict[str, list[str]]:
    """First name of a short key -> the full keys that it may stand for."""
    found: dict[str, list[str]] = {}
    for table, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for name in field.annotation.model_fields:
                found.setdefault(name, []).append(f"{table}.{name}")
    return found


def _is_another_plugin(values: Mapping[str, Any], key: str, name: Any, model: type[BaseModel]) -> bool:
    """Whether ``key`` is the name of a plug-in, and ``name`` not the one that ``values`` have or mean by default."""
    *path, last = key.split(".")
    field = _plugin_field(model, path) if last == "name" and path else None
    if field is None:
        return False
    found: Any = values
    for part in path:
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    current = found.get("name", field.default) if isinstance(found, Mapping) else found
    return bool(current != name)


def _plugin_field(model: Any, path: Sequence[str]) -> FieldInfo | None:
    """The field at ``path``, where it holds a plug-in."""
    field: FieldInfo | None = None
    for part in path:
        if not (isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields):
            return None
        field = model.model_fields[part]
        model = field.annotation
    return field if field is not None and any(isinstance(mark, PluginKind) for mark in field.metadata) else None


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for name in tables:
        inner = values.setdefault(name, {})
        if isinstance(inner, str):  # a plug-in given by its bare name
            inner = values[name] = {"name": inner}
        if not isinstance(inner, dict):
            raise ScenarioError(f'key "{key}": "{name}" is a single value or an array, so no key can be set inside it')
        values = inner
    values[last] = value
