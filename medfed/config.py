"""The scenario: one TOML file -> one frozen, validated value.

Nothing is coerced silently: an unknown key, a wrong type or a value out of range ends in a
:class:`ScenarioError` that names the file, the key, what is allowed and the nearest known key
(:mod:`medfed.config_errors` writes that line). :mod:`medfed.sections` has the tables.
"""

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import AfterValidator, Field, ValidationError, model_validator

from medfed.config_checks import misfits
from medfed.config_errors import explain
from medfed.data.location import PACKAGE_PREFIX
from medfed.errors import ScenarioError
from medfed.overrides import change, parse_override
from medfed.rng import numpy_generator
from medfed.section import Section, plugin_field
from medfed.sections import (
    HEADLINES,
    AdversaryConfig,
    BaselinesConfig,
    DataConfig,
    EngineConfig,
    EvaluationConfig,
    FederationConfig,
    PrivacyConfig,
    RecordConfig,
    TaskConfig,
    TrackingConfig,
    TrainingConfig,
)
from medfed.types import Task


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError(
            "becomes a folder's name: expected 1 to 64 letters, digits, dots, dashes or underscores, "
            f'starting with a letter or digit; got "{name}"'
        )
    return name


class Scenario(Section):
    """All of one run."""

    name: Annotated[str, AfterValidator(_folder_name)]
    seed: int = Field(default=1, ge=0, lt=2**63)
    task: TaskConfig
    data: DataConfig
    model: plugin_field("model")  # type: ignore[valid-type]
    training: TrainingConfig
    federation: FederationConfig = FederationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    baselines: BaselinesConfig = BaselinesConfig()
    record: RecordConfig = RecordConfig()
    tracking: TrackingConfig = TrackingConfig()
    adversary: AdversaryConfig = AdversaryConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="after")
    def _parts_fit(self) -> "Scenario":
        found = list(misfits(self.task, self.model, self.training, self.evaluation, self.record))
        if found:
            raise ValueError("\n".join(found))
        return self

    @property
    def model_task(self) -> Task:
        """The task as models and metrics see it."""
        t = self.task
        return Task(t.kind, t.classes, t.head, self.data.channels, self.data.image_size)

    @property
    def headline(self) -> str:
        """The metric that the run is judged by."""
        return self.evaluation.headline or HEADLINES[self.task.kind][0]

    @property
    def training_sites(self) -> tuple[str, ...]:
        """All sites that train, sorted: those expected without those left out."""
        return _without(self.federation.sites, self.federation.leave_out)

    @property
    def num_asked(self) -> int:
        """How many sites are asked in a round."""
        return min(self.federation.sites_per_round or len(self.training_sites), len(self.training_sites))

    @property
    def malicious_sites(self) -> tuple[str, ...]:
        """The adversary's sites, sorted: those named, or so many of ``training_sites`` drawn by the seed."""
        chosen = self.adversary.sites
        return _drawn(self.training_sites, chosen, self.seed) if isinstance(chosen, int) else tuple(sorted(chosen))

    @property
    def recorded_rounds(self) -> frozenset[int]:
        """``record.rounds`` counted from 1."""
        return frozenset(r if r > 0 else self.training.rounds + 1 + r for r in self.record.rounds)

    def replace(self, **changes: Any) -> "Scenario":
        """A copy with dotted keys changed, e.g. ``replace(**{"training.rounds": 3})``, validated anew."""
        values = to_dict(self)
        change(values, changes, Scenario)
        return validate(values, where="scenario")

    def to_toml(self) -> str:
        """The whole scenario as TOML, all defaults written out (no nulls; adversary and privacy only if there are)."""
        return tomli_w.dumps(to_dict(self))

    def travelling(self) -> "Scenario":
        """What may be sent to a site: everything but where data and ledgers lie, and where the server reports to."""
        data = self.data.model_copy(update={"path": ""})
        privacy = self.privacy.model_copy(update={"ledger": ""})
        return self.model_copy(update={"data": data, "tracking": TrackingConfig(), "privacy": privacy})

    def travelling_text(self) -> str:
        """:meth:`travelling` as TOML, as every message carries it."""
        return _travelling_text(self)


def to_dict(scenario: Scenario) -> dict[str, Any]:
    """The scenario as plain TOML values, without nulls."""
    values: dict[str, Any] = _plain(scenario.model_dump(mode="python"))
    if not scenario.adversary.sites:
        del values["adversary"]
    if not scenario.privacy.is_on:
        del values["privacy"]
    if not scenario.federation.secure_aggregation.is_on:
        del values["federation"]["secure_aggregation"]
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


@lru_cache(maxsize=8)  # of a thousand sites, and every message to one asks for them
def _without(sites: tuple[str, ...], left_out: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(sites) - set(left_out)))


@lru_cache(maxsize=8)
def _drawn(sites: tuple[str, ...], number: int, seed: int) -> tuple[str, ...]:
    order = numpy_generator(seed, "adversary").permutation(len(sites))
    return tuple(sorted(sites[i] for i in order[:number]))


@lru_cache(maxsize=4)
def _travelling_text(scenario: Scenario) -> str:
    return scenario.travelling().to_toml()


@lru_cache(maxsize=16)
def parse_scenario(text: str, where: str = "scenario") -> Scenario:
    """A scenario from TOML text (remembered: every message of a run carries the same text)."""
    return validate(_parse_toml(text, where), where)


def load_scenario(path: str | Path, overrides: tuple[str, ...] = ()) -> Scenario:
    """Read a scenario file and apply ``KEY=VALUE`` overrides, values written as in TOML (:mod:`medfed.overrides`).

    Relative ``data.path`` and ``privacy.ledger`` are resolved against the folder of the file.

    Raises:
        ScenarioError: the file is missing or not valid TOML, or a key or value is not as it must be.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}; expected a scenario, a TOML file") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: is not text in UTF-8; expected a scenario, a TOML file") from error
    values = _parse_toml(text, str(path))
    change(values, dict(parse_override(text, Scenario) for text in overrides), Scenario)
    scenario = validate(values, f"{path} with --set" if overrides else str(path))
    return _with_absolute_paths(scenario, path.parent)


def _with_absolute_paths(scenario: Scenario, folder: Path) -> Scenario:
    changes: dict[str, Any] = {}
    location, ledger = scenario.data.path, scenario.privacy.ledger
    if location and not location.startswith(PACKAGE_PREFIX):
        changes["data"] = scenario.data.model_copy(update={"path": str((folder / location).resolve())})
    if ledger:
        changes["privacy"] = scenario.privacy.model_copy(update={"ledger": str((folder / ledger).resolve())})
    return scenario.model_copy(update=changes) if changes else scenario


def _parse_toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{where}: not valid TOML: {error}; check quotes and brackets there") from error


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
