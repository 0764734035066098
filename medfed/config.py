"""The scenario: one TOML file -> one frozen, validated value.

Nothing is coerced silently: an unknown key, a wrong type or a value out of range ends in a
:class:`ScenarioError` that names the file, the key, what is allowed and the nearest known key
(:mod:`medfed.config_errors` writes that line).
"""

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)

from medfed import registry
from medfed.config_errors import PluginFault, explain
from medfed.errors import ScenarioError
from medfed.types import Task

PACKAGE_PREFIX = "package:"


def _plugin_field(kind: str) -> Any:
    """A field that holds a plug-in of ``kind``, read from ``{name = "...", field = ...}`` or a bare name."""

    def validate(value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict):
            return value  # already a plug-in, given from Python
        if not isinstance(value.get("name"), str):
            raise ValueError(f"needs a name, one of: {', '.join(sorted(registry.table(kind)))}")
        try:
            return registry.build(kind, value)
        except ScenarioError as error:
            raise ValueError(str(error)) from error
        except ValidationError as error:
            raise PluginFault(registry.lookup(kind, value["name"]), error) from error

    def serialize(value: Any) -> dict[str, Any]:
        return registry.describe(kind, value)

    return Annotated[Any, PlainValidator(validate), PlainSerializer(serialize)]


def _unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise ValueError(f"values must differ from each other, got {list(values)}")
    return values


class Section(BaseModel):
    """A table of the scenario: frozen, strict, no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=True)


class TaskConfig(Section):
    """``[task]``: what the model must say. In segmentation the first class is the background."""

    kind: Literal["classification", "segmentation"]
    classes: Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_unique)]
    head: Literal["softmax", "sigmoid"] = "softmax"

    @model_validator(mode="after")
    def _sigmoid_has_two_classes(self) -> "TaskConfig":
        if self.head == "sigmoid" and len(self.classes) != 2:
            raise ValueError(f'head "sigmoid" needs exactly two classes, got {len(self.classes)}; use "softmax"')
        return self


class Columns(Section):
    """``[data.columns]``: which manifest column plays which part. Further columns are kept as subgroups."""

    image: str = "image"
    mask: str = "mask"
    label: str = "label"
    site: str = "site"
    split: str = "split"
    patient: str = "patient"


class DataConfig(Section):
    """``[data]``: where the images lie and how they are read.

    ``path`` is a manifest (.csv) or a MedMNIST file (.npz); it never travels to a site. ``masks``: ``binary``
    (every value above 0 is the second class) or ``classes`` (pixel value = class index). ``intensity``:
    ``bit_depth`` divides by the largest value of the file's bit depth, ``percentiles`` maps each image's 0.5th
    and 99.5th percentile to 0 and 1.
    """

    path: str = ""
    columns: Columns = Columns()
    image_size: int = Field(ge=8, le=2048)
    channels: Literal[1, 3] = 1
    masks: Literal["binary", "classes"] = "binary"
    intensity: Literal["bit_depth", "percentiles"] = "bit_depth"
    duplicates: Literal["refuse", "drop"] = "refuse"
    min_images_per_site: int = Field(default=20, ge=1)
    sites: Annotated[tuple[str, ...], AfterValidator(_unique)] = ()
    partition: _plugin_field("partitioner") = "natural"  # type: ignore[valid-type]


class TrainingConfig(Section):
    """``[training]``: what a site does in a round. Exactly one of ``local_epochs`` and ``local_steps``."""

    rounds: int = Field(ge=1)
    local_epochs: int | None = Field(default=None, ge=1)
    local_steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(ge=1)
    optimizer: _plugin_field("optimizer") = "adamw"  # type: ignore[valid-type]
    schedule: Literal["constant", "cosine"] = "constant"
    loss: _plugin_field("loss")  # type: ignore[valid-type]
    transforms: tuple[_plugin_field("transform"), ...] = ()  # type: ignore[valid-type]
    trainer: _plugin_field("trainer") = "standard"  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one_measure_of_local_work(self) -> "TrainingConfig":
        if (self.local_epochs is None) == (self.local_steps is None):
            raise ValueError("give exactly one of local_epochs and local_steps")
        return self


class FederationConfig(Section):
    """``[federation]``: who takes part and how updates become one model.

    ``sites`` are the expected site names (empty in a simulation: all sites of the data). ``quorum`` is the
    share of a round's sites that must deliver. ``sites_per_round`` 0 means all. Sites in ``leave_out`` do not
    train; the model is tested on them.
    """

    strategy: _plugin_field("strategy") = "fedavg"  # type: ignore[valid-type]
    sites: Annotated[tuple[str, ...], AfterValidator(_unique)] = ()
    leave_out: Annotated[tuple[str, ...], AfterValidator(_unique)] = ()
    sites_per_round: int = Field(default=0, ge=0)
    quorum: float = Field(default=0.5, gt=0.0, le=1.0)
    deadline_seconds: float = Field(default=3600.0, gt=0.0)
    join_seconds: float = Field(default=300.0, gt=0.0)


class EvaluationConfig(Section):
    """``[evaluation]``: ``every`` so many rounds on validation data; intervals from ``resamples`` bootstraps."""

    headline: Literal["auroc", "balanced_accuracy", "accuracy", "dice", "iou"] | None = None
    every: int = Field(default=1, ge=1)
    resamples: int = Field(default=1000, ge=100)
    batch_size: int = Field(default=64, ge=1)


class BaselinesConfig(Section):
    """``[baselines]``: the comparisons that say whether federating was worth it."""

    local: bool = True
    pooled: bool = True


class RecordConfig(Section):
    """``[record]``: rounds whose real updates are kept for audits; negative ones count from the end."""

    rounds: Annotated[tuple[int, ...], AfterValidator(_unique)] = ()


class EngineConfig(Section):
    """``[engine]``: how a simulation runs; nothing here changes a number, except ``deterministic = false``.

    ``workers`` 0 means one per core. ``window_mb`` bounds the bytes of updates in flight, in megabytes.
    """

    deterministic: bool = True
    workers: int = Field(default=0, ge=0)
    window_mb: int = Field(default=512, ge=1)


class Scenario(Section):
    """All of one run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    seed: int = Field(default=1, ge=0, lt=2**63)
    task: TaskConfig
    data: DataConfig
    model: _plugin_field("model")  # type: ignore[valid-type]
    training: TrainingConfig
    federation: FederationConfig = FederationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    baselines: BaselinesConfig = BaselinesConfig()
    record: RecordConfig = RecordConfig()
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="after")
    def _parts_fit(self) -> "Scenario":
        metrics = {"classification": ("auroc", "balanced_accuracy", "accuracy"), "segmentation": ("dice", "iou")}
        allowed = metrics[self.task.kind]
        if self.evaluation.headline is not None and self.evaluation.headline not in allowed:
            raise ValueError(
                f'evaluation.headline "{self.evaluation.headline}" does not suit {self.task.kind}; allowed: {", ".join(allowed)}'
            )
        heads = self.training.loss.heads
        if self.task.head not in heads:
            raise ValueError(f'training.loss works on head {", ".join(heads)}, but task.head is "{self.task.head}"')
        for key, plugin in (("model", self.model), ("training.loss", self.training.loss)):
            if self.task.kind not in plugin.kinds:
                raise ValueError(f'{key} serves {", ".join(plugin.kinds)}, but task.kind is "{self.task.kind}"')
        weights = getattr(self.training.loss, "class_weights", None)
        if isinstance(weights, tuple) and len(weights) != len(self.task.classes):
            expected = f"expected {len(self.task.classes)} numbers, one per class"
            raise ValueError(f"training.loss.class_weights: {expected}, got {len(weights)}")
        rounds = self.training.rounds
        wrong = [r for r in self.record.rounds if r == 0 or abs(r) > rounds]
        if wrong:
            raise ValueError(f"record.rounds {wrong} lie outside 1..{rounds} (or -1..-{rounds}, from the end)")
        return self

    @property
    def model_task(self) -> Task:
        """The task as models and metrics see it."""
        t = self.task
        return Task(t.kind, t.classes, t.head, self.data.channels, self.data.image_size)

    @property
    def headline(self) -> str:
        """The metric that the run is judged by."""
        return self.evaluation.headline or {"classification": "auroc", "segmentation": "dice"}[self.task.kind]

    @property
    def recorded_rounds(self) -> frozenset[int]:
        """``record.rounds`` counted from 1."""
        return frozenset(r if r > 0 else self.training.rounds + 1 + r for r in self.record.rounds)

    def replace(self, **changes: Any) -> "Scenario":
        """A copy with dotted keys changed, e.g. ``replace(**{"training.rounds": 3})``, validated anew."""
        values = to_dict(self)
        for key, value in changes.items():
            _set(values, key, value)
        return validate(values, where="scenario")

    def to_toml(self) -> str:
        """The whole scenario as TOML, all defaults written out (null values left out)."""
        return tomli_w.dumps(to_dict(self))

    def travelling(self) -> "Scenario":
        """What may be sent to a site: everything but where the data lies."""
        return self.model_copy(update={"data": self.data.model_copy(update={"path": ""})})


def to_dict(scenario: Scenario) -> dict[str, Any]:
    """The scenario as plain TOML values, without nulls."""
    values: dict[str, Any] = _plain(scenario.model_dump(mode="python"))
    return values


def validate(values: dict[str, Any], where: str) -> Scenario:
    """Build a scenario from TOML values.

    Raises:
        ScenarioError: one line per fault, each naming ``where``, the key, what is allowed and what was got.
    """
    try:
        return Scenario.model_validate(_tuples(values))
    except ValidationError as error:
        raise ScenarioError(explain(error, Scenario, where)) from error


@lru_cache(maxsize=16)
def parse_scenario(text: str, where: str = "scenario") -> Scenario:
    """A scenario from TOML text (remembered: every message of a run carries the same text)."""
    return validate(_parse_toml(text, where), where)


def load_scenario(path: str | Path, overrides: tuple[str, ...] = ()) -> Scenario:
    """Read a scenario file and apply ``KEY=VALUE`` overrides, values written as in TOML.

    A relative ``data.path`` is resolved against the folder of the file.

    Raises:
        ScenarioError: the file is missing or not valid TOML, or a key or value is not as it must be.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read as a scenario: {error}; expected a UTF-8 TOML file") from error
    values = _parse_toml(text, str(path))
    for override in overrides:
        _override(values, override)
    scenario = validate(values, str(path))
    return _with_absolute_path(scenario, path.parent)


def _with_absolute_path(scenario: Scenario, folder: Path) -> Scenario:
    location = scenario.data.path
    if not location or location.startswith(PACKAGE_PREFIX):
        return scenario
    absolute = str((folder / location).resolve())
    return scenario.model_copy(update={"data": scenario.data.model_copy(update={"path": absolute})})


def _parse_toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{where}: not valid TOML: {error}") from error


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", key):
        raise ScenarioError(f'--set "{override}": expected KEY=VALUE, for example training.rounds=3')
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string: --set name=trial
    _set(values, key, value)


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for name in tables:
        inner = values.setdefault(name, {})
        if isinstance(inner, str):  # a plug-in given by its bare name
            inner = values[name] = {"name": inner}
        if not isinstance(inner, dict):
            raise ScenarioError(f'override "{key}": "{name}" is a value, not a table')
        values = inner
    values[last] = value


def _tuples(value: Any) -> Any:
    """TOML has arrays only; the values of a scenario are frozen, so arrays become tuples."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_tuples(inner) for inner in value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
