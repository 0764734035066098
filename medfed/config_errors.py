"""One clear line per fault of a scenario: file, key, what is allowed, what was got, the nearest known key."""

import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MAX_FAULTS = 5


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
    for fault in error.errors():
        location = (*prefix, *fault["loc"])
        inner = fault.get("ctx", {}).get("error")
        if isinstance(inner, PluginFault):
            yield from _lines(inner.error, inner.cls, location, where)
            continue
        key = ".".join(str(part) for part in location) or "scenario"
        yield f'{where}: key "{key}": {_reason(fault, _owner(model, fault["loc"]), location[:-1])}'


def _reason(fault: Any, owner: type | None, parents: tuple[Any, ...]) -> str:
    if fault["type"] in _UNKNOWN:
        known = _fields(owner)
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.5)
        path = ".".join([*(str(part) for part in parents), near[0]]) if near else ""
        hint = f'did you mean "{path}"? ' if near else ""
        return f"unknown key; {hint}allowed here: {', '.join(known)}"
    if fault["type"] in ("missing", "missing_argument"):
        return "is missing; add it to the scenario"
    message: str = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return message
    return f"{message[0].lower()}{message[1:]}; got {fault['input']!r}"


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
