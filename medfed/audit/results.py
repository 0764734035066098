"""What an audit found: ``audit/report.json`` is an :class:`AuditReport`; its schema lies in ``medfed/report/schema/``.

No verdict in here can be given: each is set from the figures by :mod:`medfed.audit.verdicts`, whoever makes or reads
the value. A field is added, never renamed. There are no times in it, so that the same run, seed and plan give the same
bytes.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from medfed.audit.verdicts import (
    Direction,
    Verdict,
    clopper_pearson,
    judge,
    mean_n_to_decide,
    section_verdict,
    share_n_to_decide,
    worst,
)
from medfed.results import Estimate

SCHEMA_VERSION = 1

Cell = Estimate | int | float | str | None
"""A cell of a table: a figure with its interval, a number, or text."""


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def _set(self, **fields: Any) -> None:
        """Fill in fields that follow from the others."""
        self.__dict__.update(fields)


def share(successes: int, n: int) -> Estimate:
    """``successes`` of ``n`` independent units, with the exact interval; of none, an undefined share."""
    if n == 0:
        return Estimate(value=None, low=None, high=None, n=0)
    low, high = clopper_pearson(successes, n)
    return Estimate(value=successes / n, low=low, high=high, n=n)


def census(successes: int, n: int) -> Estimate:
    """``successes`` of all ``n`` there are: nothing was drawn, so nothing is uncertain."""
    value = successes / n if n else None
    return Estimate(value=value, low=value, high=value, n=n)


class Finding(_Value):
    """A figure against its threshold.

    ``kind``: a ``share`` of independent units, a ``mean`` or other figure with an interval, or a ``census`` of all
    there are; it says how the n that would decide is found. ``verdict`` and ``n_to_decide`` follow.
    """

    what: str
    estimate: Estimate
    threshold: float
    direction: Direction = "at_least"
    kind: Literal["share", "mean", "census"]
    verdict: Verdict = Verdict.INCONCLUSIVE
    n_to_decide: int | None = None

    @model_validator(mode="after")
    def _judged(self) -> "Finding":
        e = self.estimate
        verdict = judge(e.low, e.high, self.threshold, self.direction)
        self._set(verdict=verdict, n_to_decide=self._needed() if verdict is Verdict.INCONCLUSIVE else None)
        return self

    def _needed(self) -> int | None:
        e = self.estimate
        if e.value is None or e.low is None or e.high is None or self.kind == "census":
            return None
        if self.kind == "share":
            return share_n_to_decide(e.value, self.threshold, self.direction)
        return mean_n_to_decide(e.value, e.low, e.high, e.n, self.threshold)


class Check(_Value):
    """Something that must hold for the section's figures to mean anything; ``observed`` in words."""

    what: str
    holds: bool
    observed: str


class PositiveControl(_Value):
    """The same attack where it must succeed; ``holds`` follows."""

    description: str
    metric: str
    expected: float
    observed: float | None
    direction: Direction = "at_least"
    holds: bool = False

    @model_validator(mode="after")
    def _compared(self) -> "PositiveControl":
        self._set(holds=judge(self.observed, self.observed, self.expected, self.direction) is Verdict.PASS)
        return self


class Table(_Value):
    """Figures without a threshold; every row has as many cells as there are columns, the first names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @model_validator(mode="after")
    def _rectangular(self) -> "Table":
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f'table "{self.title}": every row must have {len(self.columns)} cells')
        return self


class Fault(_Value):
    """How a section broke: the error in one line, and the calls that led to it, without paths."""

    error: str
    traceback: tuple[str, ...]


class Sample(_Value):
    """One measurement of one test image, for ``samples.csv``: ``row`` counts the data file's records from 1."""

    site: str
    row: int
    measure: str
    value: float | None


class SectionResult(_Value):
    """What one section found. ``verdict`` follows from the rest; ``name`` and ``settings`` are the runner's to set.

    ``tried``, ``meaning`` and ``remedy`` are a sentence each for a reader who is no specialist: what was done, what it
    means for patients, what to do next. ``not_tested`` says what was left out, and why. ``samples`` go to
    ``samples.csv`` and not into the report.
    """

    name: str = ""
    title: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    verdict: Verdict = Verdict.NOT_TESTED
    tried: str = ""
    meaning: str = ""
    remedy: str = ""
    findings: tuple[Finding, ...] = ()
    checks: tuple[Check, ...] = ()
    positive_control: PositiveControl | None = None
    tables: tuple[Table, ...] = ()
    not_tested: tuple[str, ...] = ()
    error: Fault | None = None
    samples: SkipJsonSchema[tuple[Sample, ...]] = Field(default=(), exclude=True)

    @model_validator(mode="after")
    def _judged(self) -> "SectionResult":
        if self.error is not None:
            self._set(verdict=Verdict.ERROR)
            return self
        control_holds = self.positive_control is None or self.positive_control.holds
        valid = all(check.holds for check in self.checks)
        self._set(verdict=section_verdict((f.verdict for f in self.findings), valid, control_holds))
        return self


class RunIdentity(_Value):
    """Which run was audited: digests are SHA-256, hexadecimal. ``trained_here``: not a model of someone else's."""

    name: str
    task: str
    classes: tuple[str, ...]
    sites: tuple[str, ...]
    model_digest: str
    data_digest: str
    scenario_digest: str
    trained_here: bool = True


class Missing(_Value):
    """A section that is not in this report, and why; ``by_budget``: it would be there without the time budget."""

    name: str
    title: str
    reason: str
    by_budget: bool = False


class Reduced(_Value):
    """A setting of a section that the time budget made cheaper: what ran, and what would without a budget."""

    section: str
    setting: str
    used: Any
    full: Any


class Budget(_Value):
    """What was planned: ``seconds`` that the audit might take (none: no limit) and those it was estimated to take.

    Both count on one core of the reference processor of :mod:`medfed.audit.costs`; no clock was read.
    """

    seconds: float | None
    planned_seconds: float
    reduced: tuple[Reduced, ...] = ()


class AuditReport(_Value):
    """``audit/report.json``; ``verdict`` is that of the worst section, ``command`` what gives the same report.

    ``version`` is that of medfed; empty in reports that did not state it yet.
    """

    schema_version: Literal[1] = 1
    version: str = ""
    run: RunIdentity
    seed: int
    command: str = ""
    budget: Budget | None = None
    verdict: Verdict = Verdict.NOT_TESTED
    sections: tuple[SectionResult, ...]
    missing: tuple[Missing, ...] = ()

    @model_validator(mode="after")
    def _judged(self) -> "AuditReport":
        self._set(verdict=worst(section.verdict for section in self.sections))
        return self

    @property
    def headline(self) -> tuple[Verdict, ...]:
        """What a reader sees first: the verdict; where a section fails, FAIL, and then what else went wrong.

        ERROR and INVALID are worse for the audit, for they say that it is not whole; a FAIL is worse for the model.
        """
        found = {section.verdict for section in self.sections}
        return tuple(v for v in (Verdict.FAIL, Verdict.ERROR, Verdict.INVALID) if v in found) or (self.verdict,)

    @property
    def verdicts(self) -> frozenset[Verdict]:
        """Of all sections, and NOT_TESTED where the budget left one out: what ``--fail-on`` is held against."""
        left_out = {Verdict.NOT_TESTED for part in self.missing if part.by_budget}
        return frozenset({section.verdict for section in self.sections} | left_out)
