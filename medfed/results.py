"""Results: estimates with intervals, one round, one run; the stable interface for other programs.

``summary.json`` is a :class:`Summary`; its JSON Schema lies in ``medfed/report/schema/``. A field is added,
never renamed. An undefined metric is null with a warning, never NaN.
"""

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from medfed.files import write_text_atomic

SCHEMA_VERSION = 1

METRICS = ("auroc", "balanced_accuracy", "accuracy", "ece", "dice", "iou", "hd95", "loss")
LOWER_IS_BETTER = frozenset({"ece", "hd95", "loss"})
UNBOUNDED = frozenset({"hd95", "loss"})


class Status(StrEnum):
    """How a run ended."""

    COMPLETED = "COMPLETED"
    DEGRADED = "DEGRADED"
    STOPPED = "STOPPED"


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimate(_Value):
    """A metric with its 95 % interval.

    ``n`` counts the independent units (patients, or images where patients are unknown); ``se`` is the
    bootstrap standard error. ``value`` is null where the metric is undefined (AUROC of a single class).
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    se: float | None = None


Metrics = dict[str, Estimate]


class Evaluation(_Value):
    """One model on one site's split: metrics over all classes, and per class name."""

    metrics: Metrics
    per_class: dict[str, Metrics] = Field(default_factory=dict)
    num_images: int


class SiteSummary(_Value):
    """One site's line of the three-way table; ``local`` is the site's own model on its own test data."""

    num_train: int
    num_val: int
    num_test: int
    class_counts: dict[str, int]
    federated: Metrics | None = None
    local: Metrics | None = None
    pooled: Metrics | None = None
    per_class: dict[str, Metrics] = Field(default_factory=dict)


class MeanSummary(_Value):
    """Means over sites, each site counting once."""

    federated: Metrics | None = None
    local: Metrics | None = None
    pooled: Metrics | None = None


class Guarantee(_Value):
    """What differential privacy promises to one kind of unit, over all releases of a run."""

    unit: Literal["record", "patient", "site"]
    relation: Literal["add_remove", "replace"]
    epsilon: float
    delta: float
    releases: int


class SiteGuarantee(_Value):
    """What the releases of one site come to, under the relation that holds; ``sentence`` says it in words."""

    unit: Literal["record", "patient", "site"]
    epsilon: float
    delta: float
    releases: int
    sentence: str


class PrivacyStatement(_Value):
    """What is protected, from whom, and what is not.

    ``guarantees`` hold for every site: they are those of the site that pays most. ``sites`` has each site's own; they
    never add up, since each concerns its own images.

    ``replayable``: the noise was drawn from the scenario's seed, so that whoever knows it can take it off again.
    ``noise_multiplier`` is of one round. ``sentence`` says it all; ``outlook`` what a useful epsilon would take.
    """

    mechanism: str
    noise_multiplier: float
    guarantees: list[Guarantee]
    trusted: str
    covered: str
    not_covered: list[str]
    replayable: bool
    sentence: str
    outlook: str
    sites: dict[str, SiteGuarantee] = Field(default_factory=dict)

    @property
    def leading(self) -> Guarantee | None:
        """The guarantee that ``sentence`` leads with; None where there is none.

        For whole sites it is that of one added or removed; for images and patients, whose counts are told, that of one
        replaced by another.
        """
        fit = (g for g in self.guarantees if g.relation == ("add_remove" if g.unit == "site" else "replace"))
        return next(fit, None)


class Summary(_Value):
    """``summary.json``.

    ``shared_test``: all sites are scored on the same test images (a partitioned data set with a split of its own).
    ``privacy`` is null where there is none.
    """

    schema_version: Literal[1] = 1
    name: str
    status: Status
    task: Literal["classification", "segmentation"]
    headline_metric: str
    rounds: int
    seconds: float
    bytes_up: int
    bytes_down: int
    sites: dict[str, SiteSummary]
    cross_site: dict[str, dict[str, Metrics]] = Field(default_factory=dict)
    mean: MeanSummary = MeanSummary()
    gap_closed: dict[str, float | None] = Field(default_factory=dict)
    best_local_site: dict[str, str] = Field(default_factory=dict)
    left_out: list[str] = Field(default_factory=list)
    shared_test: bool = False
    warnings: list[str] = Field(default_factory=list)
    privacy: PrivacyStatement | None = None


class Failure(_Value):
    """Why a site's part of a round is missing."""

    site: str
    code: str
    cause: str
    remedy: str


class SiteRound(_Value):
    """What one site reported of one round; ``loss`` is null where it was only evaluated.

    Under secure aggregation no site's own count or loss is known: 0, and null.
    """

    num_examples: int = 0
    num_steps: int = 0
    loss: float | None = None
    seconds: float = 0.0
    val: dict[str, float | None] = Field(default_factory=dict)


class RoundResult(_Value):
    """One line of ``rounds.jsonl``.

    ``epsilon``: of all rounds so far, under the first relation of the summary's statement; null where there is none.
    ``cut_values``: how many values of all updates were outside ``federation.secure_aggregation.clip``; null without it.
    """

    round: int
    seconds: float
    bytes_up: int
    bytes_down: int
    sites: dict[str, SiteRound]
    failed: list[Failure] = Field(default_factory=list)
    epsilon: float | None = None
    cut_values: int | None = None


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder and the summary in it."""

    folder: Path
    summary: Summary

    @property
    def status(self) -> Status:
        """How the run ended."""
        return self.summary.status

    @classmethod
    def load(cls, folder: Path) -> "RunResult":
        """Read a run from its folder."""
        return cls(folder, Summary.model_validate_json((folder / "summary.json").read_text()))

    def rounds(self) -> list[RoundResult]:
        """The rounds, from ``rounds.jsonl``."""
        lines = (self.folder / "rounds.jsonl").read_text().splitlines()
        return [RoundResult.model_validate_json(line) for line in lines]


def finite(value: float) -> float | None:
    """``value``, or None where it is NaN or infinite (JSON has neither)."""
    return value if math.isfinite(value) else None


def write_json(path: Path, value: BaseModel) -> None:
    """Write ``value`` as indented JSON with a final newline."""
    write_text_atomic(path, json.dumps(value.model_dump(mode="json"), indent=2) + "\n")
