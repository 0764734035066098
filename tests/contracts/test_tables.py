"""What every plug-in of every kind must keep; a new line in a table is picked up by itself.

Oracle: the plug-in contract of DESIGN.md (frozen value, no unknown key, nothing coerced, describes itself).
"""

import dataclasses
import re
from types import NoneType
from typing import Any, get_args, get_origin

import pydantic
import pytest
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from medfed import registry

READERS = "source"  # its table holds plain functions by file suffix: nothing in a scenario builds one
PLUGINS = [
    pytest.param(kind, name, cls, id=f"{kind}-{name}")
    for kind in registry.KINDS
    if kind != READERS
    for name, cls in registry.table(kind).items()
]
every_plugin = pytest.mark.parametrize(("kind", "name", "cls"), PLUGINS)


def _number(metadata: list[Any], kind: type) -> Any:
    """A number inside the bounds of a field."""
    low = next((float(getattr(m, "ge", getattr(m, "gt", 0))) for m in metadata if isinstance(m, Ge | Gt)), None)
    high = next((float(getattr(m, "le", getattr(m, "lt", 0))) for m in metadata if isinstance(m, Le | Lt)), None)
    if low is None and high is None:
        return kind(1)
    if low is not None and high is not None:
        return kind((low + high) / 2)
    return kind(low + 1) if low is not None else kind(high - 1)


def _example(info: Any) -> Any:
    """A value that a required field accepts: a number in its bounds, the first of its literals, a word."""
    kind = info.annotation
    if kind in (int, float):
        return _number(info.metadata, kind)
    if kind is bool:
        return True
    if kind is str:
        return "word"
    if get_origin(kind) is tuple:
        return ()
    return next(argument for argument in get_args(kind) if argument is not NoneType)


def _fields(cls: Any) -> dict[str, Any]:
    """The least that ``cls`` must be given."""
    return {name: _example(info) for name, info in cls.__pydantic_fields__.items() if info.is_required()}


def _build(kind: str, name: str, cls: Any, **fields: Any) -> Any:
    return registry.build(kind, {"name": name, **_fields(cls), **fields})


WORK = {
    "compression": ("compress",),
    "aggregator": ("factor", "__call__"),
    "secure_aggregation": ("least_sites",),
    "mechanism": ("protect", "share", "noisy_mean", "noisy_gradient"),
}
"""What a kind's plug-ins are called by, where that is not ``__call__`` alone."""


@every_plugin
def test_is_a_frozen_dataclass_that_says_what_it_does(kind, name, cls):
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen
    assert any(callable(getattr(_build(kind, name, cls), method, None)) for method in WORK.get(kind, ("__call__",)))
    assert (cls.__doc__ or "").strip(), f"{cls} has no docstring"
    assert not cls.__doc__.startswith(f"{cls.__name__}("), f"{cls} has only the docstring that dataclasses write"


@every_plugin
def test_is_a_comparable_value_without_tensors(kind, name, cls):
    one, other = _build(kind, name, cls), _build(kind, name, cls)
    assert one == other
    assert hash(one) == hash(other)
    assert not any(isinstance(getattr(one, field.name), Tensor) for field in dataclasses.fields(one))


@every_plugin
def test_describe_is_the_inverse_of_build(kind, name, cls):
    value = _build(kind, name, cls)
    described = registry.describe(kind, value)
    assert described["name"] == name
    assert registry.build(kind, described) == value


@every_plugin
def test_refuses_an_unknown_key(kind, name, cls):
    with pytest.raises(pydantic.ValidationError, match="no_such_field"):
        _build(kind, name, cls, no_such_field=1)


@every_plugin
def test_coerces_nothing(kind, name, cls):
    for field, info in cls.__pydantic_fields__.items():
        if info.annotation in (int, float, bool):
            for wrong in ("1", "true", None):
                with pytest.raises(pydantic.ValidationError):
                    _build(kind, name, cls, **{field: wrong})


@every_plugin
def test_refuses_numbers_that_are_not_finite(kind, name, cls):
    for field, info in cls.__pydantic_fields__.items():
        if info.annotation is float:
            for wrong in (float("nan"), float("inf")):
                with pytest.raises(pydantic.ValidationError):
                    _build(kind, name, cls, **{field: wrong})


@pytest.mark.parametrize("kind", registry.KINDS)
def test_a_table_is_literal_names_to_different_classes(kind):
    table = registry.table(kind)
    assert table
    assert len(set(table.values())) == len(table)
    assert all(re.fullmatch(r"\.?[a-z][a-z0-9_]*", name) for name in table)
