"""``medfed list KIND``: what can stand in a scenario, with one line of explanation and every field.

The entries come from the plug-in tables themselves, so that a new file with its line in a table shows up here.
"""

import inspect
import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import click

from medfed import registry
from medfed.errors import ScenarioError
from medfed.section import PluginKind


class PluginField(NamedTuple):
    """A hyper-parameter: its type as a person writes it, its bounds and its default (None: it must be given)."""

    name: str
    type: str
    bounds: str
    default: str | None

    def __str__(self) -> str:
        """``depth: int = 3 (>= 1)``."""
        default = "" if self.default is None else f" = {self.default}"
        return f"{self.name}: {self.type}{default}" + (f" ({self.bounds})" if self.bounds else "")


class PluginEntry(NamedTuple):
    """One line of a table."""

    name: str
    summary: str
    fields: tuple[PluginField, ...]


def plural(kind: str) -> str:
    """``model`` -> ``models``, ``loss`` -> ``losses``, ``strategy`` -> ``strategies``."""
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def kind_of(word: str) -> str:
    """The kind that ``word`` names, in the singular or the plural.

    Raises:
        ScenarioError: no such kind; lists all.
    """
    for kind in registry.KINDS:
        if word in (kind, plural(kind)):
            return kind
    raise ScenarioError(f'unknown kind "{word}"; allowed: {", ".join(map(plural, registry.KINDS))}')


_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "multiple of", "pattern": "matches"}


def _bounds(metadata: list[Any]) -> str:
    found = [(key, getattr(item, key, None)) for item in metadata for key in _BOUNDS]
    return ", ".join(f"{_BOUNDS[key]} {value}" for key, value in found if value is not None)


_PLAIN = {Ellipsis: "...", NoneType: "None"}


def type_name(annotation: Any) -> str:
    """``int``, ``"none" | "balanced" | float``, ``tuple[float, ...]``: as a person writes it, bounds left out."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return " | ".join(repr(value) for value in arguments)
    if origin in (Union, UnionType):
        return " | ".join(map(type_name, arguments))
    if arguments:
        return f"{origin.__name__}[{', '.join(map(type_name, arguments))}]"
    return str(_PLAIN.get(annotation) or getattr(annotation, "__name__", annotation))


def _fields(plugin: Any) -> Iterator[PluginField]:
    for name, info in getattr(plugin, "__pydantic_fields__", {}).items():  # a reader is a plain function: no fields
        kind = next((mark.kind for mark in info.metadata if isinstance(mark, PluginKind)), None)
        default = None if info.is_required() else default_text(kind, info.get_default(call_default_factory=True))
        yield PluginField(name, kind or type_name(info.annotation), _bounds(info.metadata), default)


def default_text(kind: str | None, value: Any) -> str:
    """A plug-in of ``kind`` as a scenario has it, its name or a table with its fields; anything else as in Python."""
    if kind is None:
        return repr(value)
    fields = registry.describe(kind, value)
    if len(fields) == 1:
        return repr(fields["name"])
    return f"{{{', '.join(f'{name} = {field!r}' for name, field in fields.items())}}}"


def _summary(plugin: Any) -> str:
    """The first line of the docstring, without its markup."""
    line = (inspect.getdoc(plugin) or "").partition("\n")[0]
    return re.sub(r"(?::\w+:)?`+~?([^`]+)`+", r"\1", line)


def entries(kind: str) -> list[PluginEntry]:
    """All plug-ins of ``kind``, sorted by name."""
    return [PluginEntry(name, _summary(cls), tuple(_fields(cls))) for name, cls in sorted(registry.table(kind).items())]


@click.command("list")
@click.argument("kind", required=False)
def command(kind: str | None) -> None:
    """List the plug-ins of KIND with their fields and defaults; without KIND, the names of all kinds."""
    if kind is None:
        for each in registry.KINDS:
            click.echo(f"{plural(each):13} {', '.join(sorted(registry.table(each)))}")
        return
    for entry in entries(kind_of(kind)):
        click.echo(f"{click.style(entry.name, bold=True)}\n    {entry.summary}")
        for field in entry.fields:
            click.echo(f"      {field}")
