"""``sweep.json``: every run of a sweep and one row per grid point; the stable interface for other programs.

Its JSON Schema lies in ``medfed/report/schema/``. A field is added, never renamed. What is not known is null.
"""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from medfed.results import Estimate, Status


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunState(StrEnum):
    """How far one run of a sweep is: those of a finished run, FAILED with a cause, or PENDING."""

    COMPLETED = "COMPLETED"
    DEGRADED = "DEGRADED"
    FAILED = "FAILED"
    PENDING = "PENDING"


class SweepRun(_Value):
    """One grid point with one seed; figures are null unless the run is finished.

    ``test`` and ``validation`` are the headline metric of the final federated model, as means over sites; ``seconds``
    is the wall time of the run without baselines.
    """

    seed: int
    folder: str
    state: RunState
    cause: str = ""
    validation: float | None = None
    test: Estimate | None = None
    gap_closed: float | None = None
    seconds: float | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None


class SweepRow(_Value):
    """One grid point: means over its finished runs, with 95 % t intervals over seeds.

    ``settings`` has the values as they were typed. ``data_group`` numbers what the row is trained and scored on: rows
    of one group share images, division and left-out sites. ``difference`` is test minus test of the row ``reference``,
    paired by seed. With one finished run ``test`` has that run's own interval, over patients.
    """

    label: str
    settings: dict[str, str]
    data_group: int
    runs: list[SweepRun]
    validation: Estimate
    test: Estimate
    reference: str | None = None
    difference: Estimate | None = None
    gap_closed: Estimate
    seconds: Estimate
    bytes_up: Estimate
    bytes_down: Estimate
    best: bool = False


class SweepResult(_Value):
    """``sweep.json``. STOPPED: not every run was tried yet. DEGRADED: one failed, or ended on a part of its sites."""

    schema_version: Literal[1] = 1
    name: str
    status: Status
    task: Literal["classification", "segmentation"]
    headline_metric: str
    axes: dict[str, list[str]]
    seeds: list[int]
    rows: list[SweepRow]
    warnings: list[str] = Field(default_factory=list)

    @property
    def runs(self) -> list[SweepRun]:
        """All runs, row by row."""
        return [run for row in self.rows for run in row.runs]
