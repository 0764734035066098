"""One clear line per fault of a scenario: file, key, what is allowed, what was got, the nearest known key."""

import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MAX_FAULTS = 5
_MAX_SHOWN = 80
_MAX_HINTS = 3

_PLAIN: dict[str, str] = {
    "int_type": "must be a whole number without quotes or decimal point, such as 3",
    "float_type": "must be a number without quotes, such as 0.5",
    "string_type": 'must be text in quotes, such as "text"',
    "bool_type": "must be true or false, without quotes",
    "tuple_type": 'must be an array in brackets, such as ["a", "b"]',
    "model_type": "must be a table of keys",
    "too_short": "needs at least {min_length} entries",
}
"""Fault of pydantic -> what to write in TOML; the others keep pydantic's words."""


class PluginFault(ValueError):  # noqa: N818 - carries a fault, is not one of ours
    """The fields of a plug-in did not validate; carries the class, so that its fields can be named."""

    def __init__(self, cls: type, error: ValidationError) -> None:
        super().__init__(str(error))
        self.cls = cls
        self.error = error


def explain(error: ValidationError, model: type, where: str) -> str:
    """All faults of ``error``, one line each, the first few."""
    lines = list(_lines(error, model, (), where))
    shown = lines[:_MAX_FAULTS]
    if len(lines) > len(shown):
        shown.append(f"... and {len(lines) - len(shown)} more")
    return "\n".join(shown)


def _lines(error: ValidationError, model: type, prefix: tuple[Any, ...], where: str) -> Iterable[str]:
    faults = error.errors()
    for fault in faults:
        if fault["type"] == "too_short" and any(_inside(other["loc"], fault["loc"]) for other in faults):
            continue  # pydantic counts only the entries that are right; those that are not have lines of their own
        location = (*prefix, *fault["loc"])
        inner = fault.get("ctx", {}).get("error")
        if isinstance(inner, PluginFault):
            yield from _lines(inner.error, inner.cls, location, where)
            continue
        reason = _reason(fault, _owner(model, fault["loc"]), location[:-1], model)
        if not location:  # several keys do not fit each other: each line names them itself
            yield from (f"{where}: {line}" for line in reason.splitlines())
            continue
        key = ".".join(str(part) for part in location)
        yield f'{where}: key "{key}": {reason}'


def _inside(location: tuple[Any, ...], table: tuple[Any, ...]) -> bool:
    return len(location) > len(table) and location[: len(table)] == table


def _reason(fault: Any, owner: type | None, parents: tuple[Any, ...], model: type) -> str:
    if fault["type"] in _UNKNOWN:
        known = _fields(owner)
        near = _nearest(str(fault["loc"][-1]), known, parents, model)
        hint = f"did you mean {near}? " if near else ""
        allowed = f"allowed here: {', '.join(known)}" if known else "it has no fields of its own"
        return f"unknown key; {hint}{allowed}"
    if fault["type"] in ("missing", "missing_argument"):
        return "is missing; add it to the scenario"
    message: str = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return message
    plain = _PLAIN.get(fault["type"])
    if plain is None:
        plain = message.replace("Input should be", "must be", 1)
        plain = plain[0].lower() + plain[1:]
    else:
        plain = plain.format(**fault.get("ctx", {}))
    return f"{plain}; got {_shown(fault['input'])}"


def _nearest(key: str, known: list[str], parents: tuple[Any, ...], model: type) -> str:
    """Keys of that very name in other tables; else the key of this table that looks most like it; else nothing."""
    found = [path for path in _paths(model) if path.rpartition(".")[2] == key]
    if not found:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        found = [".".join([*(str(part) for part in parents), near[0]])] if near else []
    return " or ".join(f'"{path}"' for path in found[:_MAX_HINTS])


def _paths(model: Any, prefix: str = "") -> Iterable[str]:
    """Every dotted key of ``model`` and of the tables in it."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        for name, field in model.model_fields.items():
            yield prefix + name
            yield from _paths(field.annotation, f"{prefix}{name}.")


def _shown(value: Any) -> str:
    """A value as TOML would have it, more or less, and not too much of it."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def _owner(model: type | None, location: tuple[Any, ...]) -> type | None:
    """The class of the table in which the last key of ``location`` stands."""
    for part in location[:-1]:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            model = annotation if isinstance(annotation, type) else None
    return model


def _fields(cls: type | None) -> list[str]:
    if cls is None:
        return []
    if issubclass(cls, BaseModel):
        return list(cls.model_fields)
    if dataclasses.is_dataclass(cls):
        return [f.name for f in dataclasses.fields(cls)]
    return []
