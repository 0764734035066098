"""Plug-in kinds: where the table of each kind lies, and how a named entry becomes a validated value.

A plug-in is a frozen dataclass made by :func:`plugin`: its fields are its hyper-parameters and its
``__call__`` does the work. A table is a literal ``name -> class`` in the module that owns the kind; it is
imported only when a kind is asked for, so that listing commands does not import torch.
"""

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any, TypeVar, cast, dataclass_transform

import pydantic

from medfed.errors import ScenarioError

KINDS: dict[str, str] = {
    "model": "medfed.models:MODELS",
    "loss": "medfed.training.losses:LOSSES",
    "optimizer": "medfed.training.optimizers:OPTIMIZERS",
    "source": "medfed.data.sources:SOURCES",
    "partitioner": "medfed.data.partition:PARTITIONERS",
    "transform": "medfed.data.transforms:TRANSFORMS",
    "trainer": "client.trainers:TRAINERS",
    "strategy": "server.strategies:STRATEGIES",
    "client_strategy": "client.strategies:CLIENT_STRATEGIES",
    "aggregator": "robustness.aggregation:AGGREGATORS",
    "byzantine": "robustness.byzantine:BYZANTINE",
    "attack": "robustness.attacks:ATTACKS",
    "adversarial_training": "robustness.defences:ADVERSARIAL_TRAINING",
    "input_filter": "robustness.defences:INPUT_FILTERS",
    "mechanism": "privacy.mechanisms:MECHANISMS",
    "inversion": "privacy.inversion:INVERSIONS",
    "accountant": "privacy.accountants:ACCOUNTANTS",
    "membership": "privacy.membership:MEMBERSHIP_ATTACKS",
    "compression": "medfed.compression:COMPRESSIONS",
    "secure_aggregation": "privacy.secure_aggregation:SECURE_AGGREGATIONS",
    "tracker": "medfed.tracking:TRACKERS",
    "audit_section": "medfed.audit.tables:SECTIONS",
}

_IMPORTS = "expected package.module:attr of an installed package, or of a folder named in PYTHONPATH"

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def plugin(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen dataclass that refuses unknown fields and coerces nothing."""
    config = pydantic.ConfigDict(extra="forbid", strict=True)
    made: Any = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=config)(cls)
    return cast(type[T], made)


def resolve(target: str) -> Any:
    """Import ``package.module:attribute`` and return the attribute."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def table(kind: str) -> Mapping[str, Any]:
    """The table of ``kind``: a literal name -> plug-in class."""
    found: Mapping[str, Any] = resolve(KINDS[kind])
    return found


def lookup(kind: str, name: str) -> Any:
    """The class that ``name`` stands for, from the kind's table or a user's own ``package.module:attr``.

    Raises:
        ScenarioError: no such entry; names the nearest one and lists all.
    """
    if ":" in name:
        try:
            return resolve(name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ScenarioError(f'{kind} "{name}" cannot be imported: {error}; {_IMPORTS}') from error
    entries = table(kind)
    if name in entries:
        return entries[name]
    near = difflib.get_close_matches(name, entries, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ";"
    raise ScenarioError(f'unknown {kind} "{name}"{hint} allowed: {", ".join(sorted(entries))}, or package.module:attr')


def name_of(kind: str, value: object) -> str:
    """The name under which the class of ``value`` stands in its table, or its import path."""
    cls = type(value)
    for name, entry in table(kind).items():
        if entry is cls:
            return name
    return f"{cls.__module__}:{cls.__qualname__}"


def build(kind: str, fields: Mapping[str, Any]) -> Any:
    """``{"name": "unet", "depth": 3}`` -> the plug-in value.

    Raises:
        ScenarioError: no such entry. pydantic.ValidationError: a field is unknown, missing or out of range.
    """
    cls = lookup(kind, str(fields["name"]))
    arguments = {key: value for key, value in fields.items() if key != "name"}
    return cls(**arguments)


def describe(kind: str, value: Any) -> dict[str, Any]:
    """The inverse of :func:`build`: the name and every field, defaults written out.

    A field that holds a plug-in (``plugin_field``) is described in turn, by the serializer of that field.
    """
    fields: dict[str, Any] = pydantic.TypeAdapter(type(value)).dump_python(value)
    return {"name": name_of(kind, value), **fields}
