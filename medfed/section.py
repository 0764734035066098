"""What a table of a scenario is: frozen, strict, without unknown keys; and a field that holds a plug-in."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, ValidationError, model_validator

from medfed import registry
from medfed.config_errors import PluginFault
from medfed.errors import ScenarioError


@dataclasses.dataclass(frozen=True)
class PluginKind:
    """Marks a field that holds a plug-in."""

    kind: str


def plugin_field(kind: str) -> Any:
    """A field that holds a plug-in of ``kind``, read from ``{name = "...", field = ...}`` or a bare name."""

    def validate(value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return value  # already a plug-in, given from Python
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise ValueError(f"needs a name, one of: {', '.join(sorted(registry.table(kind)))}; got {value!r}")
        try:
            if not dataclasses.is_dataclass(registry.lookup(kind, value["name"])):
                raise ValueError(f'{kind} "{value["name"]}" is no plug-in: expected a class made with @plugin')
            return registry.build(kind, value)
        except ScenarioError as error:
            raise ValueError(str(error)) from error
        except ValidationError as error:
            raise PluginFault(registry.lookup(kind, value["name"]), error) from error

    def serialize(value: Any) -> dict[str, Any]:
        return registry.describe(kind, value)

    return Annotated[Any, PluginKind(kind), PlainValidator(validate), PlainSerializer(serialize)]


class Section(BaseModel):
    """A table of the scenario: frozen, strict, no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _fields_without_a_name_are_the_default_plugin_s(cls, values: Any) -> Any:
        """``optimizer = { lr = 0.1 }`` means the default optimizer, as ``--set training.optimizer.lr=0.1`` does."""
        if not isinstance(values, Mapping):
            return values
        return {key: cls._named(key, value) for key, value in values.items()}

    @classmethod
    def _named(cls, key: Any, value: Any) -> Any:
        field = cls.model_fields.get(key)
        if field is None or not isinstance(field.default, str) or not isinstance(value, Mapping):
            return value
        if not any(isinstance(mark, PluginKind) for mark in field.metadata):
            return value
        return {"name": field.default, **value}
